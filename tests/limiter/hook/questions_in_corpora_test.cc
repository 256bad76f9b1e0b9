// Who is asked is who is charged, for every message of the logs that the tests have. What the MTA
// knew of it is taken from its arrival line by patterns of this file, not by deferd's reader.

#include <re2/re2.h>
#include <zlib.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "tests/limiter/hook/mta_questions.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

std::vector<std::string> LinesOf(const std::string& name) {
  std::string text;
  gzFile file = gzopen(TestData(name).c_str(), "rb");  // plain ones too
  if (file == nullptr) return {};
  char buffer[64 << 10];
  for (int n; (n = gzread(file, buffer, sizeof buffer)) > 0;) text.append(buffer, n);
  gzclose(file);
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// What is charged here, in every way that the corpora's hosts could be configured for.
std::vector<ChargeLists> AllLists() {
  std::vector<ChargeLists> all(4);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].host = "mx";
    if (i >= 1) {
      for (const char* host : {"127.0.0.0/8", "::1", "203.0.113.0/24"}) {
        EXPECT_THAT(all[i].relay_hosts.Add(host), IsOk());
      }
    }
  }
  all[2].order = ParseChargeOrder("relay,user,login").value();
  all[3].logins = {{"smtpout@sender.example", "else.example"}};
  all[3].users = {{"acct1", "alpha.example"}, {"acct3", "beta.example"}, {"root", "gamma.example"}};
  all[3].hosted.push_back(DomainPattern::Parse("alpha.example").value());
  return all;
}

// What the log's lines of one message say, gathered until its first attempt.
class EximTalk {
 public:
  static constexpr bool kPostfix = false;
  void Look(const std::string& line) {
    static const RE2 arrival(
        R"re((\S{6}-\S{6,11}-\S{2,4}) (?:<=|\(=) (<>|(?:"(?:[^"\\]|\\.)*"|[^ "])+) (.*))re");
    static const RE2 host(R"re(^(?:.* )?H=.*?\[([0-9a-fA-F.:]+)\](?::\d+)? )re");
    static const RE2 login(R"re( P=\S+ (?:.* )?A=[^ :]+:([^ :]+))re");
    static const RE2 user(R"re((?:^| )U=(\S+) P=(?:utf8)?local)re");
    static const RE2 identification(
        R"re((\S{6}-\S{6,11}-\S{2,4}) Sender identification U=\S+ D=([^- ]\S*))re");
    std::string id, sender, rest, domain;
    if (RE2::PartialMatch(line, arrival, &id, &sender, &rest)) {
      Sending& who = messages[id] = {};
      if (sender != "<>") who.sender = sender;
      RE2::PartialMatch(rest, host, &who.host);
      if (who.host.empty()) {
        RE2::PartialMatch(rest, user, &who.user);
      } else {
        RE2::PartialMatch(rest, login, &who.login);
      }
    } else if (RE2::PartialMatch(line, identification, &id, &domain)) {
      messages[id].domain = domain;
    }
  }
  static std::vector<std::string> Ask(const ChargeLists& lists, const Sending& who) {
    return Asked<EximSession>(lists, EximQuestionBytes(who));
  }
  std::map<std::string, Sending> messages;
};

class PostfixTalk {
 public:
  static constexpr bool kPostfix = true;
  void Look(const std::string& line) {
    static const RE2 client(R"re(smtpd\[\d+\]: (\w+): client=[^\[]*\[([^\]]+)\])re");
    static const RE2 login(R"re(client=.*, sasl_username=([^,]+))re");
    static const RE2 from(R"re(qmgr\[\d+\]: (\w+): from=<(.*)>, size=)re");
    static const RE2 other(R"re((?:pickup|cleanup)\[\d+\]: (\w+): )re");
    std::string id, host, sender;
    if (RE2::PartialMatch(line, client, &id, &host)) {
      Sending& who = messages[id] = {.host = host};
      RE2::PartialMatch(line, login, &who.login);
    } else if (RE2::PartialMatch(line, from, &id, &sender)) {
      if (auto known = messages.find(id); known != messages.end()) known->second.sender = sender;
    } else if (absl::StrContains(line, ": removed") &&
               RE2::PartialMatch(line, R"(: (\w+): )", &id)) {
      messages.erase(id);
    }
  }
  static std::vector<std::string> Ask(const ChargeLists& lists, const Sending& who) {
    return Asked<PostfixSession>(lists, PostfixQuestionBytes(who));
  }
  std::map<std::string, Sending> messages;
};

struct Seen {
  std::set<std::string> messages;  // that were asked about
  int attempts = 0;                // of these messages
  int charged = 0;                 // of these, to somebody
};

template <typename Talk>
Seen HoldAgainst(const std::string& name, const ChargeLists& lists, LogReader* reader) {
  const std::vector<std::string> lines = LinesOf(name);
  EXPECT_FALSE(lines.empty()) << name;
  Talk talk;
  Seen seen;
  EventBatch batch;
  for (const std::string& line : lines) {
    talk.Look(line);
    batch.Clear();
    reader->ReadLine(line, &batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Attempt& attempt = batch[i].attempt;
      if (batch[i].kind != LogEvent::Kind::kAttempt || !attempt.attributed()) continue;
      const std::vector<std::string> charged =
          Names(Charge(lists, attempt.identity, attempt.original));
      const auto who = talk.messages.find(attempt.message.id);
      if (attempt.identity.made_by_mta) {  // the MTA does not ask about what it makes
        EXPECT_TRUE(charged.empty()) << name << ": " << line;
        continue;
      }
      if (Talk::kPostfix && who == talk.messages.end()) continue;  // not by SMTP: not asked about
      EXPECT_NE(who, talk.messages.end()) << name << ": " << line;
      if (who == talk.messages.end()) continue;
      ++seen.attempts;
      seen.messages.insert(attempt.message.id);
      const std::vector<std::string> asked = Talk::Ask(lists, who->second);
      // No question has the recipient that a forward is charged by: it asks about nobody, or about
      // the relay host that handed the mail in.
      const bool forward = charged.size() == 1 && absl::StartsWith(charged[0], "forward:") &&
                           !attempt.original.empty();
      const bool relayed = asked.size() == 1 && absl::StartsWith(asked[0], "host:");
      if (forward && (asked.empty() || relayed)) continue;
      EXPECT_EQ(asked, charged) << name << ": " << line;
      if (!charged.empty()) ++seen.charged;
    }
  }
  return seen;
}

struct Log {
  const char* name;
  size_t messages;  // that were asked about
};

TEST(QuestionsInCorpora, Exim) {
  for (const ChargeLists& lists : AllLists()) {
    for (const Log& log : {Log{"exim/exim-default.log", 331}, Log{"exim/exim-all-head.log", 14},
                           Log{"exim/exim-syslog-head.log", 9}, Log{"exim/cpanel.log", 2}}) {
      const std::unique_ptr<LogReader> reader = NewEximReader({.zone = absl::UTCTimeZone()});
      const Seen seen = HoldAgainst<EximTalk>(log.name, lists, reader.get());
      EXPECT_EQ(seen.messages.size(), log.messages) << log.name;
      if (!lists.relay_hosts.empty()) {
        EXPECT_GE(seen.charged, 0.9 * seen.attempts) << log.name;
      }
    }
  }
}

TEST(QuestionsInCorpora, Postfix) {
  for (const ChargeLists& lists : AllLists()) {
    for (const Log& log : {Log{"postfix/postfix-shortid.log.gz", 328}, Log{"postfix.log", 21},
                           Log{"postfix/policy-actions.log", 3}}) {
      const std::unique_ptr<LogReader> reader = NewPostfixReader({.zone = absl::UTCTimeZone()});
      reader->set_latest(absl::FromUnixSeconds(1'795'400'000));
      const Seen seen = HoldAgainst<PostfixTalk>(log.name, lists, reader.get());
      EXPECT_EQ(seen.messages.size(), log.messages) << log.name;
      if (!lists.relay_hosts.empty()) {
        EXPECT_GE(seen.charged, 0.9 * seen.attempts) << log.name;
      }
    }
  }
}

}  // namespace
}  // namespace deferd
