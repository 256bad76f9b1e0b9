#include "policy/owner_release.h"

#include <cstdint>

namespace deferd {

absl::string_view WhyOwnerMayNotRelease(const std::vector<AnsweredClass>& answers) {
  int64_t all = 0, spam = 0, unknown = 0, unclear = 0;
  for (const AnsweredClass& one : answers) {
    const int64_t count = one.counted + one.left_out;
    all += count;
    switch (one.reply_class) {
      case ReplyClass::kContent:
      case ReplyClass::kReputation:
        spam += count;
        break;
      case ReplyClass::kInvalidRecipient:
      case ReplyClass::kMailboxDisabled:
        unknown += count;
        break;
      case ReplyClass::kPolicy:
      case ReplyClass::kUnclassified:
        unclear += count;
        break;
      default:
        break;
    }
  }
  if (all <= 0) return "the answers of the receiving servers are not known";
  if (spam > 0) return "receiving servers refused the mail as spam, or for its sender's reputation";
  if (unknown * 10 >= all) return "too many of the addresses do not exist";
  if (unclear * 2 >= all) return "most receiving servers gave no reason";
  return "";
}

}  // namespace deferd
