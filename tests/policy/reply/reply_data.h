// The replies of testdata/replies.

#ifndef DEFERD_TESTS_POLICY_REPLY_REPLY_DATA_H_
#define DEFERD_TESTS_POLICY_REPLY_REPLY_DATA_H_

#include <string>
#include <vector>

#include "policy/reply/reply_class.h"

namespace deferd {

struct KnownReply {
  std::string text;
  std::string reply_class;
  std::string permanence;         // "-" where the text does not tell
  std::string scope = "-";        // "-" where it does not matter
  std::vector<std::string> also;  // classes that would be right, too
  bool hold_out = false;          // rules were written without a look at it
};

// Real ones with their source (real.tsv, real-2.tsv), those of our own (own.tsv), and those that
// were written before the rules were tried on them (world.tsv, more.tsv).
std::vector<KnownReply> RealReplies();
std::vector<KnownReply> OwnReplies();
std::vector<KnownReply> WorldReplies();

}  // namespace deferd

#endif  // DEFERD_TESTS_POLICY_REPLY_REPLY_DATA_H_
