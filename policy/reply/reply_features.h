// What the model of reply_model.h weighs: features of a reply, each a 32-bit hash.
//
// Features are the reply code, its first digit, the enhanced code and both together, the first rule
// that matches and its class, who answers, how long the text is, the words, each two words in a
// row, the concepts of reply_concepts.txt, and ordered pairs of concepts at most four words apart.
// A number is the word "0"; a long word with digits, or a very long one, is "ID". Where a script
// writes no blanks, each two characters are a word and each concept stands alone.
//
// Training reads the features from this same code (tests/bench/reply_features.cc), so nothing can
// differ. Pure and linear in the text, whatever its bytes, and allocates nothing. Built once, then
// constant: any number of threads may use it.

#ifndef DEFERD_POLICY_REPLY_REPLY_FEATURES_H_
#define DEFERD_POLICY_REPLY_REPLY_FEATURES_H_

#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "policy/reply/literal_search.h"

namespace deferd {

inline constexpr size_t kMaxConcepts = 128;
inline constexpr size_t kMaxReplyWords = 256;  // of a text that are read

// The text of reply_concepts.txt.
absl::string_view BuiltInReplyConcepts();

// What is known of a reply before its words are weighed.
struct ReplyFacts {
  absl::string_view text;  // as reply_text.h makes it, with its head
  absl::string_view rule;  // the id of the first rule that matches; empty if none does
  absl::string_view provider;
};

class ReplyFeatures {
 public:
  using Concepts = std::bitset<kMaxConcepts>;
  using Hashes = absl::InlinedVector<uint32_t, 512>;

  // InvalidArgument names the bad line.
  absl::Status Compile(absl::string_view concepts);

  // The hashes, some more than once; which concepts there are goes into `seen`. Those from the
  // returned index on come from the words.
  size_t Extract(const ReplyFacts& facts, Hashes* hashes, Concepts* seen) const;

  // The index of a concept; -1 if there is none of that name.
  int ConceptOf(absl::string_view name) const;

 private:
  struct Literal {
    uint8_t concept_id;
    uint8_t size;
    bool begins, ends;  // only where a word, or a part of one beside a hyphen or apostrophe, does
  };

  std::vector<std::string> names_;
  std::vector<uint32_t> hashes_;  // of the names
  std::vector<Literal> literals_;
  LiteralSearch search_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_FEATURES_H_
