/* assert.h - a bug of ours ends the process, in every build, and says where. */
#ifndef MR_BASE_ASSERT_H
#define MR_BASE_ASSERT_H

__attribute__((noreturn, cold)) void mr_assert_failed(const char *what, const char *file, int line);

#define mr_assert(what) ((what) ? (void)0 : mr_assert_failed(#what, __FILE__, __LINE__))

#endif
