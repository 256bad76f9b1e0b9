// The corpus against what the servers at the other end saw (exim-default.truth.json says how it was
// counted), to the last attempt.

#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/limiter/intake/log_text.h"

namespace deferd {
namespace {

struct Tally {
  int delivered = 0;
  int deferred = 0;
  int failed = 0;

  friend bool operator==(const Tally&, const Tally&) = default;
  friend void PrintTo(const Tally& tally, std::ostream* out) {
    *out << tally.delivered << "/" << tally.deferred << "/" << tally.failed;
  }
};

void Add(Outcome outcome, Tally* tally) {
  if (outcome == Outcome::kDelivered) ++tally->delivered;
  if (outcome == Outcome::kDeferred) ++tally->deferred;
  if (outcome == Outcome::kFailed || outcome == Outcome::kExpired) ++tally->failed;
}

std::string SenderDomain(const std::string& sender) {
  if (sender.empty()) return "<>";
  const std::string domain = absl::AsciiStrToLower(sender.substr(sender.rfind('@') + 1));
  return domain == "bücher.example" ? "xn--bcher-kva.example" : domain;
}

class EximTruth : public testing::Test {
 protected:
  EximTruth()
      : truth_(nlohmann::json::parse(ReadTestdata("exim/exim-default.truth.json"))),
        reading_(LogText().Lines(TestdataLines("exim/exim-default.log")).Take()) {}

  static Tally FromJson(const nlohmann::json& json) {
    return {json.at("delivered"), json.at("deferred"), json.at("failed")};
  }

  const nlohmann::json truth_;
  const Reading reading_;
};

TEST_F(EximTruth, PerSenderDomain) {
  std::map<std::string, Tally> got;
  for (const Attempt& attempt : reading_.attempts) {
    // Neither the sink nor the injector saw these; see expected_differences_from_log.
    if (attempt.recipient.find("@refused.test") != std::string::npos) continue;
    if (attempt.recipient.find("@defer.test") != std::string::npos) continue;
    if (attempt.identity.sender.empty() && attempt.reply == "Unrouteable address") continue;
    Add(attempt.outcome, &got[SenderDomain(attempt.identity.sender)]);
  }
  std::map<std::string, Tally> want;
  for (const auto& [domain, counts] : truth_.at("per_sender_domain").items()) {
    want[domain] = FromJson(counts);
  }
  want["theta.example"].failed += 1;  // given up by the MTA, with a ** line
  EXPECT_EQ(got["<>"].delivered, want["<>"].delivered);
  EXPECT_EQ(got["<>"].deferred, want["<>"].deferred);
  EXPECT_GE(got["<>"].failed, want["<>"].failed);  // -qff makes a frozen one fail again
  got.erase("<>");
  want.erase("<>");
  EXPECT_EQ(got, want);
}

TEST_F(EximTruth, PerLogin) {
  std::map<std::string, Tally> got;
  for (const Attempt& attempt : reading_.attempts) {
    if (!attempt.identity.login.empty()) Add(attempt.outcome, &got[attempt.identity.login]);
  }
  std::map<std::string, Tally> want;
  for (const auto& [login, counts] : truth_.at("per_auth_id").items()) {
    want[login] = FromJson(counts);
  }
  EXPECT_EQ(got, want);
}

TEST_F(EximTruth, Rejections) {
  int want = 0;
  for (const auto& [domain, counts] : truth_.at("submission_rejected").items()) {
    for (const auto& [reason, count] : counts.items()) want += count.get<int>();
  }
  EXPECT_EQ(reading_.counts.rejected, want);
}

}  // namespace
}  // namespace deferd
