// The model that is compiled in: that it was made from today's rules and data, that C++ and the
// script that made it find the same, and that it takes any features.

#include "policy/reply/reply_model.h"

#include <openssl/sha.h>
#include <zlib.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/reply/classify.h"
#include "policy/reply/reply_features.h"
#include "policy/reply/reply_rules.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

std::string FileOf(const std::string& name) {
  std::ifstream in(TestData(absl::StrCat("replies/", name)), std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(ReplyModel, IsMadeFromTheRulesAndReplies) {
  std::string all = absl::StrCat(BuiltInReplyRules(), BuiltInReplyConcepts());
  for (const char* name : {"real.tsv", "real-2.tsv", "own.tsv", "world.tsv", "more.tsv"}) {
    all += FileOf(name);
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  EXPECT_EQ(BuiltInReplyModel().inputs,
            absl::BytesToHexString({reinterpret_cast<const char*>(digest), sizeof(digest)}))
      << "rules, concepts or replies changed: run tests/bench/reply_model.py train";
}

TEST(ReplyModel, ItsTablesFit) {
  const ReplyModel& model = BuiltInReplyModel();
  ASSERT_LE(model.features.size(), kMaxModelFeatures);
  EXPECT_EQ(model.weights.size(), model.features.size() * kReplyScores);
  EXPECT_EQ(model.slots.size() & (model.slots.size() - 1), 0u);
  for (size_t i = 0; i < model.features.size(); ++i) {
    ReplyScores expected = model.bias;
    for (int k = 0; k < kReplyScores; ++k) expected[k] += model.weights[i * kReplyScores + k];
    EXPECT_EQ(model.Score({model.features[i], model.features[i]}), expected) << i;
  }
  EXPECT_EQ(model.Score({}), model.bias);
}

TEST(ReplyModel, FindsWhatItsTrainingFound) {
  ReplyFeatures features;
  ASSERT_TRUE(features.Compile(BuiltInReplyConcepts()).ok());
  const auto classifier = ReplyClassifier::Create().value();
  int rows = 0;
  for (absl::string_view line : absl::StrSplit(FileOf("model.golden"), '\n', absl::SkipEmpty())) {
    if (line[0] == '#') continue;
    const std::vector<std::string> part = absl::StrSplit(line, absl::MaxSplits('\t', 3));
    const ReplyAnalysis analysis = classifier->Analyse(part[3]);
    const ReplyScores scores = BuiltInReplyModel().Score(analysis.hashes);
    const std::string joined = absl::StrJoin(scores, ",");
    uint32_t checksum = 0;
    ASSERT_TRUE(absl::SimpleAtoi(part[2], &checksum));
    EXPECT_EQ(
        crc32(0, reinterpret_cast<const Bytef*>(joined.data()), static_cast<uInt>(joined.size())),
        checksum)
        << part[3];
    const Classification got = classifier->Classify(part[3]);
    // A certain rule decided, or no word was known: the model had no say.
    if (got.probability == ReplyProbabilities{}) continue;
    EXPECT_EQ(ReplyClassName(got.reply_class), part[0]) << part[3];
    double confidence = 0;
    ASSERT_TRUE(absl::SimpleAtod(part[1], &confidence));
    EXPECT_NEAR(got.confidence, confidence, 1e-4) << part[3];
    ++rows;
  }
  EXPECT_GT(rows, 400);
}

TEST(ReplyModel, ProbabilitiesAddUpToOne) {
  const ReplyModel& model = BuiltInReplyModel();
  for (int32_t extreme : {0, 1000000, -1000000}) {
    ReplyScores scores = {};
    scores[3] = extreme;
    float sum = 0;
    for (float one : model.Probabilities(scores)) sum += one;
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

}  // namespace
}  // namespace deferd
