#include "policy/owner_release.h"

namespace deferd {
namespace {

struct ReleaseTally {
  int64_t all = 0, unknown = 0, unclear = 0;

  void Add(const AnswersToRelease& one, int64_t count) {
    all += count;
    switch (one.reply_class) {
      case ReplyClass::kInvalidRecipient:
      case ReplyClass::kMailboxDisabled:
        unknown += count;
        break;
      case ReplyClass::kDnsRouting:
        // A domain that does not exist makes the address one that does not either.
        if (one.permanent) unknown += count;
        break;
      case ReplyClass::kPolicy:
      case ReplyClass::kUnclassified:
        unclear += count;
        break;
      default:
        break;
    }
  }
};

}  // namespace

absl::string_view WhyOwnerMayNotRelease(const std::vector<AnswersToRelease>& answers) {
  ReleaseTally counted, all;
  bool spam = false;
  for (const AnswersToRelease& one : answers) {
    spam |=
        (one.reply_class == ReplyClass::kContent || one.reply_class == ReplyClass::kReputation) &&
        one.counted + one.left_out > 0;
    counted.Add(one, one.counted);
    all.Add(one, one.counted + one.left_out);
  }
  if (spam) return "receiving servers refused the mail as spam, or for its sender's reputation";
  if (counted.all <= 0) return "the answers of the receiving servers are not known";
  for (const ReleaseTally& tally : {counted, all}) {
    if (tally.unknown * 10 >= tally.all) return "too many of the addresses do not exist";
    if (tally.unclear * 2 >= tally.all) return "most receiving servers gave no reason";
  }
  return "";
}

bool OwnerMayReleaseOf(const ClassSet& classes) {
  if (classes.empty()) return true;
  for (int i = 0; i < kReplyClasses; ++i) {
    const auto one = static_cast<ReplyClass>(i);
    if (classes.Has(one) && WhyOwnerMayNotRelease({{.reply_class = one, .counted = 1}}).empty()) {
      return true;
    }
  }
  return false;
}

}  // namespace deferd
