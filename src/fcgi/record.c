/* SPDX-License-Identifier: ISC */
/*
 * record: building records in a buf.
 */
#include "fcgi/record.h"

#include <string.h>

size_t record_size(size_t content)
{
	return FCGI_HEADER_LEN + content + fcgi_padding(content);
}

unsigned char *record_open(struct buf *out, size_t max)
{
	unsigned char *at = buf_reserve(out, record_size(max));

	return at == NULL ? NULL : at + FCGI_HEADER_LEN;
}

void record_close(struct buf *out, enum fcgi_type type, uint16_t id, size_t len)
{
	unsigned char *header = out->data + out->end;

	fcgi_put_header(header, type, id, len, fcgi_padding(len));
	memset(header + FCGI_HEADER_LEN + len, 0, fcgi_padding(len));
	buf_commit(out, record_size(len));
}

int record_put(struct buf *out, enum fcgi_type type, uint16_t id, const void *bytes, size_t len)
{
	unsigned char *content = record_open(out, len);

	if (content == NULL)
		return -1;
	if (len > 0)
		memcpy(content, bytes, len);
	record_close(out, type, id, len);
	return 0;
}

int record_put_stream(struct buf *out, enum fcgi_type type, uint16_t id, const void *bytes,
    size_t len)
{
	const unsigned char *at = bytes;
	size_t end = out->end - out->start;

	while (len > 0) {
		size_t n = len < FCGI_MAX_CONTENT ? len : FCGI_MAX_CONTENT;

		if (record_put(out, type, id, at, n) != 0) {
			out->end = out->start + end;
			return -1;
		}
		at += n;
		len -= n;
	}
	return 0;
}

int record_put_begin(struct buf *out, uint16_t id, enum fcgi_role role, unsigned flags)
{
	unsigned char body[FCGI_BODY_LEN];

	fcgi_put_begin(body, role, flags);
	return record_put(out, FCGI_BEGIN_REQUEST, id, body, sizeof body);
}

int record_put_end(struct buf *out, uint16_t id, uint32_t app_status,
    enum fcgi_protocol_status status)
{
	unsigned char body[FCGI_BODY_LEN];

	/* both or neither: room for both is made before the first */
	if (buf_reserve(out, record_size(0) + record_size(sizeof body)) == NULL)
		return -1;
	fcgi_put_end(body, app_status, status);
	return record_put(out, FCGI_STDOUT, id, NULL, 0) != 0 ||
		record_put(out, FCGI_END_REQUEST, id, body, sizeof body) != 0
	    ? -1
	    : 0;
}

int record_put_unknown(struct buf *out, unsigned type)
{
	unsigned char body[FCGI_BODY_LEN];

	fcgi_put_unknown(body, type);
	return record_put(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, body, sizeof body);
}
