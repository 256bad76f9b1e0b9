#include "exporter/metrics.h"

#include <stdio.h>
#include <sys/wait.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class MetricsTest : public testing::Test {
 protected:
  MetricsTest() {
    gauges_.sources = {{.path = "/var/log/exim4/mainlog",
                        .lag_seconds = 1.5,
                        .gaps = 2,
                        .bytes = 1'000'000'000'000,
                        .readable = true}};
    gauges_.shared = SharedGauges{.up = true, .troubles = {{"gone", 3}}};
    gauges_.store_available_bytes = 1'000;
    gauges_.policy_hash = "0123456789abcdef";
    gauges_.hook_evidence = {{.source = "exim_submission",
                              .accepted = 9,
                              .asked = 4,
                              .accepted_total = 90,
                              .asked_total = 40}};
    gauges_.uncharged = {{"unseen_arrival", 5}};
    gauges_.blind[2] = 1;
    gauges_.policy_loaded = kNow - absl::Minutes(2);
    gauges_.started = kNow - absl::Hours(1);
    gauges_.version = "0.1.0";
  }

  std::string Text() const { return metrics_.Text(gauges_, kNow); }

  // The value of "name" or "name{label=\"value\"}", -1 if there is no such series.
  double Value(absl::string_view series) const {
    const std::string text = Text();
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      double value;
      if (absl::ConsumePrefix(&line, series) && absl::ConsumePrefix(&line, " ") &&
          absl::SimpleAtod(line, &value)) {
        return value;
      }
    }
    return -1;
  }

  void See(Outcome outcome, LeftOut left_out = LeftOut::kCounts,
           const Classification* answer = nullptr) {
    Attempt attempt;
    attempt.outcome = outcome;
    metrics_.OnAttempt(attempt, {}, left_out, answer);
  }

  static std::set<std::string> NamesOfTable() {
    std::set<std::string> names;
    const std::string table = Metrics::MarkdownTable();
    for (absl::string_view line : absl::StrSplit(table, '\n')) {
      if (!absl::ConsumePrefix(&line, "| `")) continue;
      names.insert(std::string(line.substr(0, line.find_first_of("`{"))));
    }
    return names;
  }

  Metrics metrics_;
  Gauges gauges_;
};

// Runs `promtool check metrics` on `text`: its exit code and all that it said.
std::pair<int, std::string> Promtool(const std::string& text) {
  const TempFolder folder;
  const std::string file = folder.File("metrics");
  std::ofstream(file) << text;
  FILE* tool = popen(absl::StrCat("promtool check metrics <'", file, "' 2>&1").c_str(), "r");
  if (tool == nullptr) return {-1, "popen"};
  std::string said;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), tool)) > 0;) said.append(buffer, n);
  const int status = pclose(tool);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, said};
}

TEST_F(MetricsTest, EverySeriesIsThereFromTheStart) {
  for (const char* series : {R"(deferd_log_lines_total{result="attempt"})",
                             R"(deferd_log_lines_total{result="not_mine"})",
                             R"(deferd_log_lines_total{result="rejected"})",
                             R"(deferd_log_lines_total{result="malformed"})",
                             R"(deferd_attempts_total{outcome="delivered"})",
                             R"(deferd_attempts_total{outcome="deferred"})",
                             R"(deferd_attempts_total{outcome="failed"})",
                             R"(deferd_attempts_left_out_total{reason="own_refusal"})",
                             R"(deferd_attempts_left_out_total{reason="late"})",
                             R"(deferd_case_changes_total{change="opened"})",
                             R"(deferd_case_changes_total{change="unblocked"})",
                             R"(deferd_cases_open{mode="enforce"})",
                             R"(deferd_cases_open{mode="shadow"})",
                             R"(deferd_questions_total{verdict="pass"})",
                             R"(deferd_questions_total{verdict="hold"})",
                             R"(deferd_questions_total{verdict="reject"})",
                             R"(deferd_questions_total{verdict="discard"})",
                             "deferd_questions_unchecked_total",
                             "deferd_questions_malformed_total",
                             "deferd_question_duration_seconds_count",
                             "deferd_question_duration_seconds_sum",
                             R"(deferd_question_duration_seconds_bucket{le="+Inf"})",
                             R"(deferd_policy_reloads_total{result="ok"})",
                             R"(deferd_policy_reloads_total{result="failed"})"}) {
    EXPECT_EQ(Value(series), 0) << series;
  }
}

TEST_F(MetricsTest, EveryLeftOutReasonAndCaseChangeHasItsOwnWord) {
  const std::string text = Text();
  std::set<std::string> series;
  int reasons = 0, changes = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty() || absl::StartsWith(line, "#")) continue;
    const absl::string_view name = line.substr(0, line.rfind(' '));
    EXPECT_TRUE(series.insert(std::string(name)).second) << line;
    EXPECT_FALSE(absl::StrContains(line, "unknown")) << line;
    reasons += absl::StartsWith(line, "deferd_attempts_left_out_total{");
    changes += absl::StartsWith(line, "deferd_case_changes_total{");
  }
  EXPECT_EQ(reasons, kLeftOutReasons - 1);
  EXPECT_EQ(changes, kCaseChanges);
}

TEST_F(MetricsTest, TextAndTableNameTheSameMetrics) {
  std::set<std::string> with_series, families;
  gauges_.subject_series = Gauges::SubjectSeries{.listed = {{"shop.example", {}, true}}};
  gauges_.notices = Gauges::NoticeGauges{};
  metrics_.OnRuleVerdict("ratio");
  const std::string text = Text();
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "# TYPE ")) {
      families.insert(std::string(line.substr(0, line.find(' '))));
    } else if (!line.empty() && !absl::StartsWith(line, "#")) {
      std::string name(line.substr(0, line.find_first_of("{ ")));
      for (const char* end : {"_bucket", "_sum", "_count"}) {
        if (absl::StartsWith(name, "deferd_question_duration_seconds")) {
          name = std::string(absl::StripSuffix(name, end));
        }
      }
      with_series.insert(name);
    }
  }
  EXPECT_EQ(families, NamesOfTable());
  EXPECT_EQ(with_series, NamesOfTable());
}

TEST_F(MetricsTest, EachTableRowHasThreeCells) {
  const std::string table = Metrics::MarkdownTable();
  for (absl::string_view line : absl::StrSplit(table, '\n', absl::SkipEmpty())) {
    EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 4) << line;
  }
}

TEST_F(MetricsTest, ManualHasThisTable) {
  std::ifstream file(SourceFile("deploy/doc/metrics.md"));
  std::stringstream manual;
  manual << file.rdbuf();
  EXPECT_THAT(manual.str(), testing::HasSubstr(Metrics::MarkdownTable()));
}

TEST_F(MetricsTest, LinesAddUp) {
  metrics_.OnLines({.lines = 10, .attempts = 4, .not_mine = 3, .rejected = 2, .malformed = 1});
  metrics_.OnLines({.lines = 1, .attempts = 1});
  EXPECT_EQ(Value(R"(deferd_log_lines_total{result="attempt"})"), 5);
  EXPECT_EQ(Value(R"(deferd_log_lines_total{result="not_mine"})"), 3);
  EXPECT_EQ(Value(R"(deferd_log_lines_total{result="rejected"})"), 2);
  EXPECT_EQ(Value(R"(deferd_log_lines_total{result="malformed"})"), 1);
}

TEST_F(MetricsTest, ExpiredIsFailedAndWhatIsOnlyShownIsNotCounted) {
  See(Outcome::kDelivered);
  See(Outcome::kDeferred);
  See(Outcome::kDeferred, LeftOut::kLate);
  See(Outcome::kFailed, LeftOut::kOwnRefusal);
  See(Outcome::kExpired);
  for (Outcome shown : {Outcome::kQueued, Outcome::kHeld, Outcome::kRejected, Outcome::kDiscarded,
                        Outcome::kFiltered, Outcome::kArchived}) {
    See(shown, LeftOut::kLate);
  }
  EXPECT_EQ(Value(R"(deferd_attempts_total{outcome="delivered"})"), 1);
  EXPECT_EQ(Value(R"(deferd_attempts_total{outcome="deferred"})"), 2);
  EXPECT_EQ(Value(R"(deferd_attempts_total{outcome="failed"})"), 2);
  EXPECT_EQ(Value(R"(deferd_attempts_left_out_total{reason="late"})"), 1);
  EXPECT_EQ(Value(R"(deferd_attempts_left_out_total{reason="own_refusal"})"), 1);
}

TEST_F(MetricsTest, CaseChanges) {
  metrics_.OnCase(CaseChange::kOpened, Case());
  metrics_.OnCase(CaseChange::kOpened, Case());
  metrics_.OnCase(CaseChange::kUnblocked, Case());
  EXPECT_EQ(Value(R"(deferd_case_changes_total{change="opened"})"), 2);
  EXPECT_EQ(Value(R"(deferd_case_changes_total{change="unblocked"})"), 1);
}

TEST_F(MetricsTest, AnswersByVerdictAndTime) {
  metrics_.OnAnswer(Verdict::kPass, false, absl::Microseconds(1));  // a bound belongs to its bucket
  metrics_.OnAnswer(Verdict::kPass, true, absl::Nanoseconds(1'001));
  metrics_.OnAnswer(Verdict::kReject, false, absl::Milliseconds(1));
  metrics_.OnAnswer(Verdict::kHold, false, absl::Seconds(2));
  metrics_.OnAnswer(Verdict::kDiscard, false, -absl::Seconds(2));  // a clock went back
  metrics_.OnMalformedQuestion();
  EXPECT_EQ(Value(R"(deferd_questions_total{verdict="pass"})"), 2);
  EXPECT_EQ(Value(R"(deferd_questions_total{verdict="hold"})"), 1);
  EXPECT_EQ(Value(R"(deferd_questions_total{verdict="reject"})"), 1);
  EXPECT_EQ(Value(R"(deferd_questions_total{verdict="discard"})"), 1);
  EXPECT_EQ(Value("deferd_questions_unchecked_total"), 1);
  EXPECT_EQ(Value("deferd_questions_malformed_total"), 1);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="1e-06"})"), 2);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="2e-06"})"), 3);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="0.0001"})"), 3);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="0.001"})"), 4);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="0.1"})"), 4);
  EXPECT_EQ(Value(R"(deferd_question_duration_seconds_bucket{le="+Inf"})"), 5);
  EXPECT_EQ(Value("deferd_question_duration_seconds_count"), 5);
  EXPECT_NEAR(Value("deferd_question_duration_seconds_sum"), 2.001002001, 1e-9);
}

TEST_F(MetricsTest, SharingHasItsFigures) {
  gauges_.shared->offset_seconds = -1.5;
  gauges_.shared->nodes = 30;
  gauges_.shared->cases_lost = 2;
  EXPECT_EQ(Value("deferd_shared_up"), 1);
  EXPECT_EQ(Value(R"(deferd_shared_troubles_total{trouble="gone"})"), 3);
  EXPECT_EQ(Value("deferd_shared_clock_offset_seconds"), -1.5);
  EXPECT_EQ(Value("deferd_shared_nodes"), 30);
  EXPECT_EQ(Value(R"(deferd_shared_cases_put_total{result="lost"})"), 2);
  gauges_.shared.reset();
  EXPECT_EQ(Value("deferd_shared_up"), -1) << "one machine alone has none";
}

TEST_F(MetricsTest, Blindness) {
  EXPECT_EQ(Value("deferd_blind{kind=\"hook\"}"), 1);
  EXPECT_EQ(Value("deferd_blind{kind=\"log\"}"), 0);
  EXPECT_EQ(Value("deferd_accepted_messages_last_hour{source=\"exim_submission\"}"), 9);
  EXPECT_EQ(Value("deferd_questions_last_hour{source=\"exim_submission\"}"), 4);
  EXPECT_EQ(Value("deferd_accepted_messages_total{source=\"exim_submission\"}"), 90);
  EXPECT_EQ(Value("deferd_source_questions_total{source=\"exim_submission\"}"), 40);
  gauges_.hook_evidence[0].asked_total.reset();
  EXPECT_EQ(Value("deferd_source_questions_total{source=\"exim_submission\"}"), -1)
      << "without a socket there are no questions that an alert could miss";
}

TEST_F(MetricsTest, GaugesAreReadOff) {
  EXPECT_EQ(Value(R"(deferd_policy_info{hash="0123456789abcdef"})"), 1);
  EXPECT_EQ(Value("deferd_store_available_bytes"), 1'000);
  gauges_.open_messages = 7;
  gauges_.evicted_messages = 8;
  gauges_.evicted_places = 21;
  gauges_.subjects = 9;
  gauges_.open_cases = 10;
  gauges_.shadow_cases = 11;
  gauges_.queued_batches = 12;
  gauges_.unchecked = true;
  gauges_.policy_stale = true;
  gauges_.policy_reloads = 13;
  gauges_.policy_reload_failures = 14;
  gauges_.hook_connections = 15;
  gauges_.hook_refused = 16;
  gauges_.hook_evicted = 17;
  EXPECT_EQ(Value(R"(deferd_source_lag_seconds{path="/var/log/exim4/mainlog"})"), 1.5);
  EXPECT_EQ(Value(R"(deferd_source_gaps_total{path="/var/log/exim4/mainlog"})"), 2);
  EXPECT_EQ(Value(R"(deferd_source_read_bytes_total{path="/var/log/exim4/mainlog"})"), 1e12);
  EXPECT_EQ(Value(R"(deferd_source_readable{path="/var/log/exim4/mainlog"})"), 1);
  EXPECT_EQ(Value("deferd_open_messages"), 7);
  EXPECT_EQ(Value("deferd_evicted_messages_total"), 8);
  EXPECT_EQ(Value("deferd_evicted_places_total"), 21);
  EXPECT_EQ(Value("deferd_subjects"), 9);
  EXPECT_EQ(Value(R"(deferd_cases_open{mode="enforce"})"), 10);
  EXPECT_EQ(Value(R"(deferd_cases_open{mode="shadow"})"), 11);
  EXPECT_EQ(Value("deferd_queued_batches"), 12);
  EXPECT_EQ(Value("deferd_unchecked"), 1);
  EXPECT_EQ(Value("deferd_policy_age_seconds"), 120);
  EXPECT_EQ(Value("deferd_policy_stale"), 1);
  EXPECT_EQ(Value(R"(deferd_policy_reloads_total{result="ok"})"), 13);
  EXPECT_EQ(Value(R"(deferd_policy_reloads_total{result="failed"})"), 14);
  EXPECT_EQ(Value("deferd_hook_connections"), 15);
  EXPECT_EQ(Value("deferd_hook_connections_refused_total"), 16);
  EXPECT_EQ(Value("deferd_hook_connections_evicted_total"), 17);
  EXPECT_EQ(Value("deferd_start_time_seconds"), 1'699'996'400);
  EXPECT_EQ(Value(R"(deferd_build_info{version="0.1.0"})"), 1);
}

TEST_F(MetricsTest, PolicyFromTheFutureHasNoNegativeAge) {
  gauges_.policy_loaded = kNow + absl::Hours(1);
  EXPECT_EQ(Value("deferd_policy_age_seconds"), 0);
}

TEST_F(MetricsTest, PathsAreEscapedAndMadeValidUtf8) {
  gauges_.sources = {{.path = "/a\"b\\c"}, {.path = "/line\nbreak"}, {.path = "/bad\xff"}};
  EXPECT_EQ(Value(R"(deferd_source_gaps_total{path="/a\"b\\c"})"), 0);
  EXPECT_EQ(Value("deferd_source_gaps_total{path=\"/bad\xef\xbf\xbd\"}"), 0);
  EXPECT_THAT(Text(), Not(HasSubstr("\nbreak")));
  EXPECT_EQ(Promtool(Text()), std::pair(0, std::string()));
}

TEST_F(MetricsTest, PathsThatLookTheSameStayTwoSeries) {
  gauges_.sources = {{.path = "/bad\xff", .gaps = 1}, {.path = "/bad\xfe", .gaps = 2}};
  EXPECT_EQ(Value("deferd_source_gaps_total{path=\"/bad\xef\xbf\xbd\"}"), 1);
  EXPECT_EQ(Value("deferd_source_gaps_total{path=\"/bad\xef\xbf\xbd'\"}"), 2);
}

TEST_F(MetricsTest, PromtoolFindsNothing) {
  EXPECT_EQ(Promtool(Text()), std::pair(0, std::string()));
  See(Outcome::kDeferred);
  metrics_.OnAnswer(Verdict::kPass, true, absl::Microseconds(3));
  EXPECT_EQ(Promtool(Text()), std::pair(0, std::string()));
}

TEST_F(MetricsTest, PromtoolFindsNothingWithoutAnySource) {
  gauges_ = Gauges();
  EXPECT_EQ(Promtool(Text()), std::pair(0, std::string()));
}

// That the check above can fail.
TEST_F(MetricsTest, PromtoolFindsAMistake) {
  const auto [code, said] = Promtool("# HELP deferd_x x\n# TYPE deferd_x counter\ndeferd_x 1\n");
  EXPECT_NE(code, 0);
  EXPECT_THAT(said, HasSubstr("deferd_x"));
}

TEST_F(MetricsTest, CountsFromManyThreadsWhileScraped) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 10'000; ++n) {
        See(Outcome::kDeferred);
        metrics_.OnAnswer(Verdict::kPass, false, absl::Microseconds(1));
      }
    });
  }
  for (int n = 0; n < 20; ++n) EXPECT_THAT(Text(), HasSubstr("deferd_attempts_total"));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Value(R"(deferd_attempts_total{outcome="deferred"})"), 40'000);
  EXPECT_EQ(Value("deferd_question_duration_seconds_count"), 40'000);
}

TEST_F(MetricsTest, SubjectsAreNamedOnlyWhereThatIsSwitchedOn) {
  EXPECT_THAT(Text(), Not(HasSubstr("{subject=")));
  gauges_.subject_series =
      Gauges::SubjectSeries{.listed = {{"shop.example", {.delivered = 7, .failed = 47}, true},
                                       {"near.example", {.deferred = 3}, false}},
                            .other = {.delivered = 900, .deferred = 2},
                            .others = 41};
  EXPECT_EQ(Value("deferd_subject_window{subject=\"shop.example\",outcome=\"failed\"}"), 47);
  EXPECT_EQ(Value("deferd_subject_window{subject=\"other\",outcome=\"delivered\"}"), 900);
  EXPECT_EQ(Value("deferd_subject_blocked{subject=\"shop.example\"}"), 1);
  EXPECT_EQ(Value("deferd_subject_blocked{subject=\"near.example\"}"), -1);
  EXPECT_EQ(Value("deferd_subjects_unlisted"), 41);
}

TEST_F(MetricsTest, VerdictsAreCountedByRuleUpToALimit) {
  metrics_.OnRuleVerdict("ratio");
  metrics_.OnRuleVerdict("ratio");
  metrics_.OnShadowVerdict(Verdict::kReject, "ratio");
  metrics_.OnShadowVerdict(Verdict::kHold, "spam");
  metrics_.OnRuleVerdict("");  // a person's
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"ratio\",mode=\"enforce\"}"), 2);
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"ratio\",mode=\"shadow\"}"), 1);
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"spam\",mode=\"enforce\"}"), 0);
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"spam\",mode=\"shadow\"}"), 1);
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"(person)\",mode=\"enforce\"}"), 1);
  // A policy may have a rule for each of 100,000 domains.
  for (int i = 0; i < 1'000; ++i) metrics_.OnRuleVerdict(absl::StrCat("d", i));
  const std::string text = metrics_.Text(gauges_, absl::UnixEpoch());
  size_t series = 0;
  for (size_t at = text.find("deferd_rule_verdicts_total{"); at != std::string::npos;
       at = text.find("deferd_rule_verdicts_total{", at + 1)) {
    ++series;
  }
  EXPECT_EQ(series, 2 * (RuleTally::kMostRules + 1));
  EXPECT_EQ(Value("deferd_rule_verdicts_total{rule=\"other\",mode=\"enforce\"}"),
            1'000 - (static_cast<int>(RuleTally::kMostRules) - 3));
}

TEST_F(MetricsTest, ShadowVerdictsAndUnchargedAttemptsAreCounted) {
  metrics_.OnShadowVerdict(Verdict::kReject, "ratio");
  gauges_.uncharged = {{"untrusted_host", 12}};
  EXPECT_EQ(Value("deferd_shadow_verdicts_total{verdict=\"reject\"}"), 1);
  EXPECT_EQ(Value("deferd_shadow_verdicts_total{verdict=\"pass\"}"), -1) << "that is no news";
  EXPECT_EQ(Value("deferd_uncharged_attempts_total{reason=\"untrusted_host\"}"), 12);
}

}  // namespace
}  // namespace deferd
