/* SPDX-License-Identifier: ISC */
/*
 * response_body: the body filter.
 */
#include <string.h>

#include "base/hex.h"
#include "cgi/response.h"

/* The state after the line with a chunk's size. */
static enum chunk_state begin_chunk(const struct response *response)
{
	return response->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
}

static enum chunk_state read_size(struct response *response, unsigned char c)
{
	int digit = hex_digit((char)c);

	if (digit >= 0 && response->left < 1ULL << 56) {
		response->left = response->left * 16 + (uint64_t)digit;
		return CHUNK_SIZE;
	}
	if (response->chunk == CHUNK_START)
		return CHUNK_BROKEN;
	if (c == '\n')
		return begin_chunk(response);
	return c == '\r' || c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION : CHUNK_BROKEN;
}

/* The state after byte `c` of anything other than chunk data. */
static enum chunk_state read_chunk_byte(struct response *response, unsigned char c)
{
	switch (response->chunk) {
	case CHUNK_START:
	case CHUNK_SIZE:
		return read_size(response, c);
	case CHUNK_EXTENSION:
		return c == '\n' ? begin_chunk(response) : CHUNK_EXTENSION;
	case CHUNK_DATA_END:
		return c == '\n' ? CHUNK_START : c == '\r' ? CHUNK_DATA_END : CHUNK_BROKEN;
	case CHUNK_TRAILER:
		return c == '\n' ? CHUNK_DONE : c == '\r' ? CHUNK_TRAILER : CHUNK_TRAILER_LINE;
	case CHUNK_TRAILER_LINE:
		return c == '\n' ? CHUNK_TRAILER : CHUNK_TRAILER_LINE;
	case CHUNK_DATA:
	case CHUNK_DONE:
	case CHUNK_BROKEN:
		break;
	}
	return response->chunk;
}

static size_t unchunk(struct response *response, unsigned char *bytes, size_t len)
{
	size_t kept = 0;
	size_t at = 0;

	while (at < len) { /* after the last chunk, or in broken ones, to no effect */
		size_t n = len - at;

		if (response->chunk != CHUNK_DATA) {
			response->chunk = read_chunk_byte(response, bytes[at++]);
			continue;
		}
		if (n > response->left)
			n = (size_t)response->left;
		memmove(bytes + kept, bytes + at, n);
		kept += n;
		at += n;
		response->left -= n;
		if (response->left == 0)
			response->chunk = CHUNK_DATA_END;
	}
	return kept;
}

size_t response_passes(const struct response *response, size_t len)
{
	switch (response->framing) {
	case RESPONSE_TO_END:
		return len;
	case RESPONSE_COUNTED:
		return len > response->left ? (size_t)response->left : len;
	case RESPONSE_OVERRUN:
	case RESPONSE_CHUNKED:
	case RESPONSE_EMPTY:
		break;
	}
	return 0;
}

void response_skip(struct response *response, size_t n)
{
	if (response->framing == RESPONSE_COUNTED)
		response->left -= n;
}

size_t response_body(struct response *response, unsigned char *bytes, size_t len)
{
	size_t passes;

	if (response->framing == RESPONSE_CHUNKED)
		return unchunk(response, bytes, len);
	passes = response_passes(response, len);
	response_skip(response, passes);
	if (response->framing == RESPONSE_COUNTED && passes < len)
		response->framing = RESPONSE_OVERRUN;
	return passes;
}

bool response_is_whole(const struct response *response)
{
	switch (response->framing) {
	case RESPONSE_TO_END:
		return response->kind == RESPONSE_HEAD;
	case RESPONSE_COUNTED:
		return response->left == 0 || response->kind == RESPONSE_HEAD;
	case RESPONSE_CHUNKED:
		return response->chunk == CHUNK_DONE || response->kind == RESPONSE_HEAD;
	case RESPONSE_OVERRUN:
	case RESPONSE_EMPTY:
		break;
	}
	return true;
}

bool response_is_short(const struct response *response)
{
	if (response->kind == RESPONSE_HEAD) /* a script may leave out a body that is dropped */
		return false;
	if (response->framing == RESPONSE_CHUNKED)
		return response->chunk != CHUNK_DONE;
	return response->framing == RESPONSE_COUNTED && response->left > 0;
}
