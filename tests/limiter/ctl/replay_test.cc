#include "limiter/ctl/replay.h"

#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

const std::string kCorpus = TestData("exim/exim-default.log");

std::string TempPath(const std::string& name) {
  return absl::StrCat(testing::TempDir(), "/deferd-replay-", getpid(), "-", name);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

ReplayOptions BySender(std::vector<std::string> paths) {
  ReplayOptions options;
  options.paths = std::move(paths);
  options.policy = std::make_shared<Policy>(BuiltInPolicy());
  options.lists.order = {ChargeStep::kSender};
  options.zone = absl::UTCTimeZone();
  return options;
}

Json DomainOf(const Json& result, const std::string& name) {
  for (const Json& one : result["domains"]) {
    if (one["domain"] == name) return one;
  }
  return nullptr;
}

// Against the truth that was counted beside the run, not from the log. Its file lists what a log
// must show differently: here theta.example (defer.test is not seen by the receiving server, and
// one given up by Exim) and refused.example.
TEST(Replay, AgreesWithTheCountedTruth) {
  absl::StatusOr<Json> result = Replay(BySender({kCorpus}));
  ASSERT_THAT(result, IsOk());
  const Json truth =
      Json::parse(ReadAll(TestData("exim/exim-default.truth.json")))["per_sender_domain"];
  int compared = 0;
  for (const auto& [name, counts] : truth.items()) {
    if (name == "<>") continue;
    const Json domain = DomainOf(*result, name);
    ASSERT_FALSE(domain.is_null()) << name;
    const bool theta = name == "theta.example";
    EXPECT_EQ(domain["delivered"], counts["delivered"]) << name;
    EXPECT_EQ(domain["deferred"], counts["deferred"].get<int>() + (theta ? 6 : 0)) << name;
    EXPECT_EQ(domain["failed"], counts["failed"].get<int>() + (theta ? 1 : 0)) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 15);
  EXPECT_EQ((*result)["malformed"], 0);
  EXPECT_EQ((*result)["unattributed"], 0);
  const Json& outcomes = (*result)["outcomes"];
  EXPECT_EQ((*result)["attempts"], outcomes["delivered"].get<int>() +
                                       outcomes["deferred"].get<int>() +
                                       outcomes["failed"].get<int>());
}

// The same of Postfix. Its log alone has the deferrals of refused.example and of 19 more of
// theta.example, which the receiving server could not see.
TEST(Replay, AgreesWithTheCountedTruthOfPostfix) {
  ReplayOptions options = BySender({TestData("postfix/postfix-shortid.log.gz")});
  options.format = LogFormat::kPostfix;
  absl::StatusOr<Json> result = Replay(options);
  ASSERT_THAT(result, IsOk());
  const Json all = Json::parse(ReadAll(TestData("postfix/postfix-shortid.truth.json")));
  int compared = 0;
  for (const auto& [name, counts] : all["per_sender_domain"].items()) {
    if (name == "<>") continue;
    const Json domain = DomainOf(*result, name);
    ASSERT_FALSE(domain.is_null()) << name;
    const int unseen = name == "theta.example" ? 19 : name == "refused.example" ? 9 : 0;
    EXPECT_EQ(domain["delivered"], counts["delivered"]) << name;
    EXPECT_EQ(domain["deferred"], counts["deferred"].get<int>() + unseen) << name;
    EXPECT_EQ(domain["failed"],
              counts["failed"].get<int>() + counts.value("failed_given_up_by_mta", 0))
        << name;
    ++compared;
  }
  EXPECT_EQ(compared, 16);
  EXPECT_EQ((*result)["malformed"], 0);
  EXPECT_EQ((*result)["unattributed"], 0);
}

TEST(Replay, BatchSizesChangeNothing) {
  std::string expected;
  for (size_t batch : {1u, 2u, 7u, 1000u}) {
    ReplayOptions options = BySender({kCorpus});
    options.batch_events = batch;
    absl::StatusOr<Json> result = Replay(options);
    ASSERT_THAT(result, IsOk());
    if (expected.empty()) expected = Dump(*result);
    EXPECT_EQ(Dump(*result), expected) << batch;
  }
}

TEST(Replay, PiecesGzippedAndInAnyOrderAreTheSameLog) {
  const std::string text = ReadAll(kCorpus);
  const size_t cut = text.find('\n', text.size() / 2) + 1;
  const std::string older = TempPath("mainlog.1.gz");
  const std::string newer = TempPath("mainlog");
  gzFile gz = gzopen(older.c_str(), "wb");
  gzwrite(gz, text.data(), static_cast<unsigned>(cut));
  gzclose(gz);
  std::ofstream(newer) << text.substr(cut);
  absl::StatusOr<Json> whole = Replay(BySender({kCorpus}));
  absl::StatusOr<Json> pieces = Replay(BySender({newer, older}));
  ASSERT_THAT(pieces, IsOk());
  EXPECT_EQ((*pieces)["files"].size(), 2u);
  pieces->erase("files");
  whole->erase("files");
  EXPECT_EQ(Dump(*pieces), Dump(*whole));
}

TEST(Replay, CountedIsOnceAndBlocksAreNamed) {
  const std::string path = TempPath("burst");
  std::ofstream log(path);
  for (int i = 0; i < 12; ++i) {
    const std::string head =
        absl::StrCat("2026-03-01 10:", 10 + i, ":00 1abcde-0000", 10 + i, "-AB ");
    log << head << "<= bob@a.example H=pc [192.0.2.1] P=esmtpsa A=plain:bob@a.example S=1\n";
    for (int retry = 0; retry < 3; ++retry) {
      log << head << "== r@far.example R=dnslookup T=remote_smtp defer (-44) H=mx [198.51.100.1]: "
          << "SMTP error from remote mail server after RCPT TO:<r@far.example>: "
          << "450 4.1.1 <r@far.example>: User unknown\n";
    }
  }
  log.close();
  ReplayOptions options = BySender({path});
  options.lists.order = {ChargeStep::kLogin};
  absl::StatusOr<Json> result = Replay(options);
  ASSERT_THAT(result, IsOk());
  const Json domain = DomainOf(*result, "a.example");
  EXPECT_EQ(domain["deferred"], 36);
  EXPECT_EQ(domain["counted"]["deferred"], 12);
  EXPECT_TRUE(domain["blocks"].empty()) << "its one login is the culprit";
  ASSERT_EQ((*result)["subjects"].size(), 1u);
  const Json& login = (*result)["subjects"][0];
  EXPECT_EQ(login["subject"], "login:bob@a.example");
  ASSERT_EQ(login["blocks"].size(), 1u);
  const Json& block = login["blocks"][0];
  EXPECT_EQ(block["since"], "2026-03-01T10:19:00Z");
  EXPECT_EQ(block["until"], "2026-03-01T11:19:00Z");
  EXPECT_EQ(block["rule"], "login");
  EXPECT_EQ(block["count"], 10);
  EXPECT_EQ(block["percent"], 100);
  const std::string page = ReplayPage(*result);
  EXPECT_THAT(page, testing::HasSubstr("a.example"));
  EXPECT_THAT(page, testing::HasSubstr("Blocks (UTC)"));
}

TEST(Replay, AnotherProgramsLogIsSaid) {
  absl::StatusOr<Json> right = Replay(BySender({kCorpus}));
  ASSERT_THAT(right.status(), IsOk());
  EXPECT_FALSE(IsNoSuchLog(*right));
  ReplayOptions options = BySender({kCorpus});
  options.format = LogFormat::kPostfix;
  absl::StatusOr<Json> wrong = Replay(options);
  ASSERT_THAT(wrong.status(), IsOk());
  EXPECT_TRUE(IsNoSuchLog(*wrong));
  EXPECT_THAT(ReplayPage(*wrong), testing::HasSubstr("If it is Exim's:\n--format exim\n"));
  const std::string empty = TempPath("empty.log");
  std::ofstream(empty) << "";
  absl::StatusOr<Json> nothing = Replay(BySender({empty}));
  ASSERT_THAT(nothing.status(), IsOk());
  EXPECT_FALSE(IsNoSuchLog(*nothing)) << "a log that was just rotated";
}

TEST(Replay, WhoseLogItIsIsRecognisedAndSaid) {
  for (const auto& [path, format] :
       {std::pair(kCorpus, "exim"), std::pair(TestData("exim/exim-syslog-head.log"), "exim"),
        std::pair(TestData("postfix/postfix-shortid.log.gz"), "postfix")}) {
    ReplayOptions options = BySender({path});
    options.format = LogFormat::kAny;
    absl::StatusOr<Json> any = Replay(options);
    ASSERT_THAT(any.status(), IsOk());
    EXPECT_EQ((*any)["format"], format) << path;
    EXPECT_THAT(ReplayPage(*any),
                testing::HasSubstr(std::string(format) == "exim" ? "Read as Exim's main log."
                                                                 : "Read as Postfix's mail log."));
    options.format = std::string(format) == "exim" ? LogFormat::kExim : LogFormat::kPostfix;
    absl::StatusOr<Json> known = Replay(options);
    ASSERT_THAT(known.status(), IsOk());
    for (Json* one : {&*any, &*known}) one->erase("recognised");
    EXPECT_EQ(Dump(*any), Dump(*known)) << path;
  }
  const std::string other = TempPath("other.log");
  std::ofstream(other) << "Oct  9 14:53:48 vm dovecot: imap(bob): Logged out\n";
  ReplayOptions options = BySender({other});
  options.format = LogFormat::kAny;
  absl::StatusOr<Json> none = Replay(options);
  ASSERT_THAT(none.status(), IsOk());
  EXPECT_TRUE(IsNoSuchLog(*none));
  EXPECT_THAT(ReplayPage(*none), testing::HasSubstr("No line is a delivery by Exim or Postfix."));
}

// Exim's log and Postfix's of the same hours, and both in one file: a failure of each MTA counts in
// the hour that it belongs to, though one log was read when the other begins.
TEST(Replay, LogsOfBothMailServersAtOnce) {
  std::string exim, postfix, both;
  for (int hour = 0; hour < 12; ++hour) {
    const std::string stamp = absl::StrFormat("2026-03-01 %02d:00:", hour);
    const std::string id = absl::StrFormat("1abcde-0000%02d-AB", hour);
    const std::string sent[] = {
        absl::StrCat(stamp, "01 ", id, " <= bob@a.example H=pc [192.0.2.1] P=esmtpsa S=1\n"),
        absl::StrCat(stamp, "02 ", id,
                     " ** r@far.example R=r T=t H=mx [198.51.100.1]: SMTP error "
                     "from remote mail server after RCPT TO:<r@far.example>: "
                     "550 5.1.1 User unknown\n")};
    const std::string queue_id = absl::StrFormat("4F01%02d", hour);
    const std::string head = absl::StrCat(stamp.substr(0, 10), "T", stamp.substr(11));
    const std::string got[] = {
        absl::StrCat(head, "03Z mx postfix/qmgr[1]: ", queue_id,
                     ": from=<bob@a.example>, size=1, nrcpt=1 (queue active)\n"),
        absl::StrCat(head, "04Z mx postfix/smtp[1]: ", queue_id,
                     ": to=<r@far.example>, relay=mx[198.51.100.1]:25, delay=1, dsn=5.1.1, "
                     "status=bounced (host mx[198.51.100.1] said: 550 5.1.1 User unknown)\n")};
    for (const std::string& line : sent) {
      exim += line;
      both += absl::StrCat(line.substr(0, 10), "T", line.substr(11, 8), "Z mx exim[1]: ", line);
    }
    for (const std::string& line : got) {
      postfix += line;
      both += line;
    }
  }
  const std::string paths[] = {TempPath("mainlog"), TempPath("mail.log"), TempPath("syslog")};
  std::ofstream(paths[0]) << exim;
  std::ofstream(paths[1]) << postfix;
  std::ofstream(paths[2]) << both;
  for (const std::vector<std::string>& logs :
       {std::vector<std::string>{paths[0], paths[1]}, std::vector<std::string>{paths[1], paths[0]},
        std::vector<std::string>{paths[2]}}) {
    ReplayOptions options = BySender(logs);
    options.format = LogFormat::kAny;
    absl::StatusOr<Json> result = Replay(options);
    ASSERT_THAT(result.status(), IsOk());
    EXPECT_EQ((*result)["format"], "exim and postfix");
    EXPECT_EQ((*result)["lines"], 48);
    EXPECT_EQ((*result)["attempts"], 24);
    EXPECT_EQ((*result)["malformed"], 0);
    EXPECT_EQ((*result)["left_out"]["late"], 0);
    EXPECT_EQ(DomainOf(*result, "a.example")["counted"]["failed"], 24);
  }
}

TEST(Replay, AMissingFileIsNamed) {
  EXPECT_THAT(Replay(BySender({"/nowhere/mainlog"})),
              StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("/nowhere/mainlog")));
}

}  // namespace
}  // namespace deferd
