#include "limiter/app/blind_watch.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kSnapshotEvery = absl::Minutes(5);
constexpr int64_t kMissedLines = 20;     // before a log counts as not understood
constexpr int64_t kEnoughLines = 100;    // likewise, by its malformed lines
constexpr int64_t kEnoughAttempts = 50;  // before a percentage is meaningful
constexpr int64_t kEnoughMessages = 10;
constexpr int64_t kSmartHostShare = 95;  // percent
constexpr int64_t kStampedLines = 20;    // that came while the log was followed
constexpr absl::Duration kAhead = absl::Minutes(5);
constexpr absl::Duration kBehind = absl::Minutes(20);
constexpr absl::Duration kFurthestZone = absl::Hours(26);
constexpr Source kQueriedSources[] = {Source::kSubmission, Source::kLocal, Source::kRelay};

std::string Names(const std::vector<std::pair<std::string, int64_t>>& names) {
  return absl::StrJoin(names, ", ", [](std::string* out, const auto& one) {
    absl::StrAppend(out, PrintableUtf8(one.first), " (", one.second, ")");
  });
}

// The reason, and a remedy.
std::pair<std::string, std::string> Explain(ChargeTally::Why why, const std::string& names) {
  using Why = ChargeTally::Why;
  const std::string behind = names.empty() ? "" : absl::StrCat(": ", names);
  switch (why) {
    case Why::kUnseenArrival:
      return {"the log line that names the sender was never read",
              "follow every log that the mail server writes, and keep rotated logs in the same "
              "directory"};
    case Why::kHost:
      return {absl::StrCat("the client host gave no login and is not trusted", behind),
              "if these are your own hosts, list them as [charge] relay_hosts (this host itself: "
              "\"127.0.0.1\", \"::1\")"};
    case Why::kOrder:
      return {absl::StrCat("[charge] order leaves out the sender", behind),
              "set [charge] order = [\"login\", \"user\", \"relay\"]"};
    case Why::kNotHosted:
      return {absl::StrCat("[charge] hosted does not list the domain", behind),
              "add your domains to the list in [charge] hosted"};
    case Why::kUnknown:
      return {"the log names no login, user or host of the sender",
              "make the mail server log them (Exim: log_selector with its defaults)"};
    case Why::kJudged:
      break;
  }
  return {};
}

}  // namespace

absl::string_view BlindKindName(BlindAlarm::Kind kind) {
  switch (kind) {
    case BlindAlarm::Kind::kLog:
      return "log";
    case BlindAlarm::Kind::kCharge:
      return "charge";
    case BlindAlarm::Kind::kHook:
      return "hook";
    case BlindAlarm::Kind::kSmartHost:
      return "smart_host";
  }
  return "unknown";
}

std::string EvidenceName(Mta mta, Source source) {
  return absl::StrCat(mta == Mta::kExim ? "exim_" : "postfix_", SourceName(source));
}

std::vector<BlindAlarm> BlindWatch::Look(const BlindFacts& facts, absl::Time now) {
  Totals totals;
  for (const BlindFacts::Log& log : facts.logs) {
    const std::string mta = log.mta == Mta::kExim ? "exim" : "postfix";
    totals[absl::StrCat("lines ", log.path)] = log.read.lines;
    totals[absl::StrCat("attempts ", log.path)] = log.read.attempts;
    totals[absl::StrCat("malformed ", log.path)] = log.read.malformed;
    totals[absl::StrCat("missed ", log.path)] = log.read.missed;
    totals[absl::StrCat("accepted ", EvidenceName(log.mta, Source::kSubmission))] +=
        log.read.accepted_login;
    totals[absl::StrCat("accepted ", EvidenceName(log.mta, Source::kRelay))] +=
        log.read.accepted_host;
    totals[absl::StrCat("accepted ", EvidenceName(log.mta, Source::kLocal))] +=
        log.read.accepted_local;
  }
  for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
    for (Source source : kQueriedSources) {
      totals[absl::StrCat("asked ", EvidenceName(mta, source))] =
          facts.asked[static_cast<size_t>(mta)][static_cast<size_t>(source)];
    }
  }
  for (size_t why = 0; why < facts.charge.attempts.size(); ++why) {
    totals[absl::StrCat("charge ", why)] = facts.charge.attempts[why];
  }

  while (past_.size() > 1 && now - past_[1].first >= kWindow) past_.pop_front();
  Totals hour = totals;
  if (!past_.empty()) {
    for (auto& [name, count] : hour) {
      const auto before = past_.front().second.find(name);
      if (before != past_.front().second.end()) count -= before->second;
    }
  }
  for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
    for (Source source : kQueriedSources) {
      const std::string name = EvidenceName(mta, source);
      HookEvidence& one = evidence_[static_cast<size_t>(mta)][static_cast<size_t>(source)];
      const auto accepted = totals.find(absl::StrCat("accepted ", name));
      one.accepted_total = accepted == totals.end() ? 0 : accepted->second;
      one.asked_total = totals.at(absl::StrCat("asked ", name));
    }
  }
  // The first entry stands for the start, when all totals were 0.
  if (past_.empty()) {
    past_.emplace_back(now, Totals());
  } else if (now - past_.back().first >= kSnapshotEvery) {
    past_.emplace_back(now, std::move(totals));
  }

  std::vector<BlindAlarm> alarms;
  for (const BlindFacts::Log& log : facts.logs) LookAtLog(log, hour, &alarms);
  LookAtSilence(facts, hour, &alarms);
  LookAtCharge(facts, hour, &alarms);
  LookAtHook(facts, hour, &alarms);
  LookAtSmartHost(facts, &alarms);
  return alarms;
}

void BlindWatch::ForgetCharge() {
  for (auto& [time, totals] : past_) {
    for (auto& [name, count] : totals) {
      if (absl::StartsWith(name, "charge ")) count = 0;
    }
  }
}

void BlindWatch::LookAtLog(const BlindFacts::Log& log, const Totals& hour,
                           std::vector<BlindAlarm>* alarms) {
  const int64_t attempts = hour.at(absl::StrCat("attempts ", log.path));
  const int64_t missed = hour.at(absl::StrCat("missed ", log.path));
  const int64_t malformed = hour.at(absl::StrCat("malformed ", log.path));
  const int64_t lines = hour.at(absl::StrCat("lines ", log.path));
  if (missed >= kMissedLines && attempts * 9 < missed) {
    alarms->push_back(
        {BlindAlarm::Kind::kLog,
         absl::StrCat(PrintableUtf8(log.path), " is not understood: ", missed,
                      " lines of the last hour look like deliveries, and only ", attempts,
                      " attempts were read"),
         absl::StrCat("check that [intake] ", log.mta == Mta::kExim ? "exim" : "postfix",
                      " is the right name for this log; if it is, run deferctl replay on the file "
                      "and report the format of its lines")});
  } else if (lines >= kEnoughLines && malformed * 2 >= lines) {
    alarms->push_back({BlindAlarm::Kind::kLog,
                       absl::StrCat(PrintableUtf8(log.path), " is not understood: ", malformed,
                                    " of ", lines, " lines of the last hour could not be read"),
                       "check that it is the log of this mail server, under the right name (exim, "
                       "postfix)"});
  }
  if (!log.off.has_value()) return;
  const auto old = old_lines_.try_emplace(log.path, log.read.lines).first;
  if (log.read.lines - old->second < kStampedLines) return;
  // What is further behind than a zone can be is a copy of an old log.
  if (log.off > kAhead || (log.off <= -kBehind && log.off >= -kFurthestZone)) {
    const bool ahead = log.off > absl::ZeroDuration();
    alarms->push_back(
        {BlindAlarm::Kind::kLog,
         absl::StrCat("the stamps of ", PrintableUtf8(log.path), " are ",
                      absl::ToInt64Minutes(absl::AbsDuration(*log.off)), " minutes ",
                      ahead ? "ahead of the clock, so its attempts count for nobody"
                            : "behind the clock, so blocks begin late or are over when they begin"),
         "set [intake] timezone to the zone that the log is written in, or set the clock"});
  }
}

// A mail server that asks accepts or refuses, and logs that.
void BlindWatch::LookAtSilence(const BlindFacts& facts, const Totals& hour,
                               std::vector<BlindAlarm>* alarms) {
  for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
    int64_t asked = 0, lines = 0;
    std::vector<std::string> paths;
    for (Source source : kQueriedSources) {
      asked += hour.at(absl::StrCat("asked ", EvidenceName(mta, source)));
    }
    for (const BlindFacts::Log& log : facts.logs) {
      if (log.mta != mta) continue;
      lines += hour.at(absl::StrCat("lines ", log.path));
      paths.push_back(PrintableUtf8(log.path));
    }
    if (asked < kEnoughMessages || lines > 0) continue;
    const char* const name = mta == Mta::kExim ? "Exim" : "Postfix";
    const char* const key = mta == Mta::kExim ? "exim" : "postfix";
    alarms->push_back(
        {BlindAlarm::Kind::kLog,
         absl::StrCat(name, " asked ", asked, " times in the last hour, and ",
                      paths.empty()
                          ? absl::StrCat("no log of it is followed")
                          : absl::StrCat("nothing was written to ", absl::StrJoin(paths, ", "))),
         absl::StrCat("name the log that ", name, " writes now as [intake] ", key,
                      mta == Mta::kExim
                          ? " (exim4 -bP log_file_path)"
                          : ", or journal = [\"postfix\"] where it logs there alone")});
  }
}

void BlindWatch::LookAtCharge(const BlindFacts& facts, const Totals& hour,
                              std::vector<BlindAlarm>* alarms) {
  int64_t all = 0;
  std::array<int64_t, ChargeTally::kWhys> by_why = {};
  size_t worst = 0;
  for (size_t why = 0; why < by_why.size(); ++why) {
    by_why[why] = hour.at(absl::StrCat("charge ", why));
    all += by_why[why];
    if (why != 0 && (worst == 0 || by_why[why] > by_why[worst])) worst = why;
  }
  const int64_t nobody = all - by_why[static_cast<size_t>(ChargeTally::Why::kJudged)];
  if (all < kEnoughAttempts || nobody * 2 < all) return;
  const auto [reason, remedy] =
      Explain(static_cast<ChargeTally::Why>(worst), Names(facts.charge.names[worst]));
  alarms->push_back(
      {BlindAlarm::Kind::kCharge,
       absl::StrCat("nobody is charged for ", nobody, " of the last hour's ", all,
                    " attempts to other hosts. Of ", by_why[worst], " of them ", reason),
       remedy});
}

void BlindWatch::LookAtHook(const BlindFacts& facts, const Totals& hour,
                            std::vector<BlindAlarm>* alarms) {
  for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
    for (Source source : kQueriedSources) {
      const std::string name = EvidenceName(mta, source);
      HookEvidence& one = evidence_[static_cast<size_t>(mta)][static_cast<size_t>(source)];
      const auto accepted = hour.find(absl::StrCat("accepted ", name));
      one.accepted = accepted == hour.end() ? 0 : accepted->second;
      one.asked = hour.at(absl::StrCat("asked ", name));
      // Which client hosts are checked is the operator's choice, and Postfix sends no questions
      // about mail submitted with sendmail(1).
      const bool must_query =
          source == Source::kSubmission || (source == Source::kLocal && mta == Mta::kExim);
      // A filter that returns messages makes them arrive twice.
      if (!facts.hook[static_cast<size_t>(mta)] || !must_query || one.accepted < kEnoughMessages ||
          one.asked * 5 >= one.accepted * 2) {
        continue;
      }
      const bool exim = mta == Mta::kExim;
      const char* const snippet = !exim                      ? "deploy/postfix/ask.cf"
                                  : source == Source::kLocal ? "deploy/exim/local.conf"
                                                             : "deploy/exim/ask.conf";
      alarms->push_back(
          {BlindAlarm::Kind::kHook,
           absl::StrCat(exim ? "Exim" : "Postfix", " accepted ", one.accepted,
                        source == Source::kLocal ? " local messages" : " messages with a login",
                        " in the last hour, but queried deferd about only ", one.asked,
                        ": a block does not stop the others"),
           absl::StrCat("install the lines of ", snippet,
                        " at every listener; deferctl doctor names the listeners without them")});
    }
  }
}

void BlindWatch::LookAtSmartHost(const BlindFacts& facts, std::vector<BlindAlarm>* alarms) {
  const ChargeTally::Numbers& charge = facts.charge;
  if (charge.to_hosts < kEnoughAttempts || charge.recipient_domains < ChargeTally::kManyDomains ||
      charge.by_first_host * 100 < charge.to_hosts * kSmartHostShare) {
    return;
  }
  alarms->push_back(
      {BlindAlarm::Kind::kSmartHost,
       absl::StrCat(
           "all mail leaves by ", PrintableUtf8(charge.first_host),
           ", and this log only says that it accepted the message. Messages that it cannot deliver "
           "later come back as bounce messages, which deferd does not count"),
       absl::StrCat("run deferd where the log of ", PrintableUtf8(charge.first_host),
                    " is, or report its failures with deferctl record")});
}

Json BlindJson(const std::vector<BlindAlarm>& alarms) {
  Json list = Json::array();
  for (const BlindAlarm& alarm : alarms) {
    list.push_back({{"kind", std::string(BlindKindName(alarm.kind))},
                    {"what", alarm.what},
                    {"remedy", alarm.remedy}});
  }
  return list;
}

Json EvidenceJson(const BlindWatch& watch) {
  Json json = Json::object();
  for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
    for (Source source : kQueriedSources) {
      const HookEvidence& one =
          watch.evidence()[static_cast<size_t>(mta)][static_cast<size_t>(source)];
      json[EvidenceName(mta, source)] = {{"accepted", one.accepted}, {"asked", one.asked}};
    }
  }
  return json;
}

}  // namespace deferd
