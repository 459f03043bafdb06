/* SPDX-License-Identifier: ISC */
/*
 * response_page: responses of the bridge itself.
 */
#include <stdio.h>

#include "cgi/response.h"

const char *response_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"}, {301, "Moved Permanently"}, {302, "Found"},
		{303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
		{308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"},
		{411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
		{415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
		{504, "Gateway Timeout"}, {507, "Insufficient Storage"},
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

size_t response_page(enum response_kind kind, int status, const char *detail, unsigned char *out)
{
	const char *retry = status == 503 ? "Retry-After: 10\r\n" : "";
	const char *reason = response_reason(status);
	int n = snprintf((char *)out, RESPONSE_PAGE_MAX,
	    "Status: %d %s\r\nContent-Type: text/plain\r\n%s\r\n", status, reason, retry);

	if (kind == RESPONSE_NO_BODY)
		return (size_t)n;
	n += snprintf((char *)out + n, RESPONSE_PAGE_MAX - (size_t)n, "%d %s%s%.*s\n", status,
	    reason, detail[0] == '\0' ? "" : ": ", RESPONSE_DETAIL_MAX, detail);
	return (size_t)n;
}
