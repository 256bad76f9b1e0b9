// The inputs of the model in reply_model.h: features of a reply, each a 32-bit hash.
//
// Features are the reply code, its first digit, the enhanced code, both together, the first
// matching rule and its class, the provider, the length of the text, the words, pairs of adjacent
// words, the concepts of reply_concepts.txt, and ordered pairs of concepts at most four words
// apart. A number becomes the word "0"; a long word with digits, or a very long one, becomes "ID".
// In scripts without blanks, each two characters are a word and each concept stands alone.
//
// Training reads the features from this code (tests/bench/reply_features.cc), so both always agree.
// Pure, linear in the text for any bytes, without allocation. Constant after construction: any
// number of threads may use it.

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
inline constexpr size_t kMaxReplyWords = 256;  // read from each text

// The text of reply_concepts.txt.
absl::string_view BuiltInReplyConcepts();

// Facts about a reply before its words are weighed.
struct ReplyFacts {
  absl::string_view text;  // normal form of reply_text.h, with its head
  absl::string_view rule;  // id of the first matching rule; empty if none
  absl::string_view provider;
};

class ReplyFeatures {
 public:
  using Concepts = std::bitset<kMaxConcepts>;
  using Hashes = absl::InlinedVector<uint32_t, 512>;

  // InvalidArgument names the invalid line.
  absl::Status Compile(absl::string_view concepts);

  // The hashes, possibly repeated; `seen` gets the concepts found. Hashes from the returned index
  // on come from the words.
  size_t Extract(const ReplyFacts& facts, Hashes* hashes, Concepts* seen) const;

  // The index of a concept; -1 if the name is unknown.
  int ConceptOf(absl::string_view name) const;

 private:
  struct Literal {
    uint8_t concept_id;
    uint8_t size;
    bool begins,
        ends;  // matches only at a word's beginning or end, or beside a hyphen or apostrophe
  };

  std::vector<std::string> names_;
  std::vector<uint32_t> hashes_;  // of the names
  std::vector<Literal> literals_;
  LiteralSearch search_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_FEATURES_H_
