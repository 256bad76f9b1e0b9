// The formats of message ids.
//
// Sources: Exim's specification, section 3.4 (six base-62 characters of time, six or eleven of the
// process, two or four of the fraction); Postfix's short (hexadecimal) and long queue ids
// (postconf(5), enable_long_queue_ids). Pure.

#ifndef DEFERD_POLICY_MESSAGE_ID_H_
#define DEFERD_POLICY_MESSAGE_ID_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace deferd {

inline constexpr size_t kShortEximId = 16;  // 6-6-2
inline constexpr size_t kLongEximId = 23;   // 6-11-4, since 4.97

bool IsEximId(absl::string_view text);

bool IsPostfixId(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_POLICY_MESSAGE_ID_H_
