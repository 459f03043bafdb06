/* SPDX-License-Identifier: ISC */
/*
 * attributes: compiler attributes for functions, under names that read well in a contract, and
 * CONTAINER_OF().
 */
#ifndef CGIBRIDGE_ATTRIBUTES_H
#define CGIBRIDGE_ATTRIBUTES_H

#if defined(__GNUC__) || defined(__clang__)
/* The caller has to check the result: ignoring it loses bytes or requests. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* Argument `fmt` is a printf format for the arguments from `args` on. */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NO_RETURN __attribute__((noreturn))
#else
#define MUST_CHECK
#define PRINTF_LIKE(fmt, args)
#define NO_RETURN
#endif

/* The object of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
