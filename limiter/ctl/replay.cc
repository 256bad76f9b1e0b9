#include "limiter/ctl/replay.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/cases/case_table.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/case_words.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/read_ahead.h"
#include "limiter/ctl/replay_input.h"
#include "limiter/events.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "policy/evaluate.h"
#include "policy/left_out.h"
#include "policy/text.h"

namespace deferd {

namespace {

class Tally : public Observer {
 public:
  explicit Tally(const Policy& policy) {
    for (const Rule& rule : policy.rules) {
      (rule.unhosted ? judged_alone_ : judged_)[static_cast<int>(rule.kind)] = true;
    }
  }

  void OnLines(const LineCounts& counts) override { lines_ += counts; }

  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override {
    if (attempt.outcome == Outcome::kRejectedRecipient) {
      ++rejected_recipients_;
      for (const Charged& one : charged) ++Of(one.subject)->all.rejected;
      return;
    }
    outcomes_.Add(CountedAs(attempt.outcome));
    if (!attempt.attributed()) ++unattributed_;
    ++left_out_[static_cast<int>(left_out)];
    if (answer != nullptr) ++classes_[static_cast<int>(answer->reply_class)];
    for (const Charged& one : charged) {
      // A part of a domain is told apart where a rule judges such parts.
      if (&one == &charged.back() || Judged(one.subject.kind, charged.back().hosted)) {
        Of(one.subject)->all.Add(CountedAs(attempt.outcome));
      }
    }
  }

  void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) override {
    Of(subject)->counted.Add(outcome, delta);
  }

  void OnWarning(const Warning& warning) override { warnings_.push_back(warning); }

  void OnCase(CaseChange change, const Case& record) override {
    std::vector<Case>& cases = Of(record.subject)->cases;
    if (change == CaseChange::kOpened) {
      cases.push_back(record);
      return;
    }
    for (Case& one : cases) {
      if (one.id == record.id) one = record;
    }
  }

  Json Result() const;

 private:
  struct Totals {
    Counts all;
    Counts counted;
    std::vector<Case> cases;
  };

  bool Judged(SubjectKind kind, bool hosted) const {
    return judged_[static_cast<int>(kind)] || (judged_alone_[static_cast<int>(kind)] && !hosted);
  }

  // Attempts come with their contribution right behind them: one look-up serves both.
  Totals* Of(const Subject& subject) {
    if (last_ == nullptr || last_->first != subject) last_ = &*subjects_.try_emplace(subject).first;
    return &last_->second;
  }

  static Json Three(const Counts& counts) {
    Json json = {
        {"delivered", counts.delivered}, {"deferred", counts.deferred}, {"failed", counts.failed}};
    if (counts.rejected > 0) json["rejected_recipients"] = counts.rejected;
    return json;
  }

  bool judged_[kSubjectKinds] = {};        // by SubjectKind
  bool judged_alone_[kSubjectKinds] = {};  // likewise, only Rule::unhosted
  LineCounts lines_;
  Counts outcomes_;
  int64_t unattributed_ = 0;
  int64_t rejected_recipients_ = 0;  // of own senders
  std::vector<Warning> warnings_;
  int64_t left_out_[kLeftOutReasons] = {};
  int64_t classes_[kReplyClasses] = {};  // of bad attempts
  absl::node_hash_map<Subject, Totals> subjects_;
  std::pair<const Subject, Totals>* last_ = nullptr;  // the entry used last
};

Json Tally::Result() const {
  absl::btree_map<std::string, const Totals*> domains;
  absl::btree_map<std::string, const Totals*> others;
  for (const auto& [subject, totals] : subjects_) {
    if (subject.kind == SubjectKind::kDomain) {
      domains[subject.id] = &totals;
    } else {
      others[subject.ToString()] = &totals;
    }
  }
  auto list = [](const absl::btree_map<std::string, const Totals*>& totals_by_name,
                 const char* name_key) {
    Json out = Json::array();
    for (const auto& [name, totals] : totals_by_name) {
      Json one = {{name_key, name}};
      one.update(Three(totals->all));
      one["counted"] = Three(totals->counted);
      Json blocks = Json::array();
      for (const Case& record : totals->cases) {
        blocks.push_back({{"since", FormatUtc(record.since)},
                          {"until", FormatUtc(record.until)},
                          {"rule", record.rule},
                          {"count", record.bad()},
                          {"counts", std::string(record.measure.Name())},
                          {"classes", record.measure.classes.Names()},
                          {"min_bad", record.min_bad},
                          {"percent", record.percent},
                          {"shadow", record.shadow}});
      }
      one["blocks"] = std::move(blocks);
      out.push_back(std::move(one));
    }
    return out;
  };
  Json left_out = Json::object();
  for (int i = 1; i < kLeftOutReasons; ++i) {
    left_out[std::string(LeftOutName(static_cast<LeftOut>(i)))] = left_out_[i];
  }
  Json classes = Json::object();
  for (const ReplyClassInfo& info : ReplyClassTable()) {
    const int64_t n = classes_[static_cast<size_t>(info.id)];
    if (n > 0) classes[std::string(info.name)] = n;
  }
  Json warnings = Json::array();
  for (const Warning& one : warnings_) {
    warnings.push_back(
        {{"subject", one.subject.ToString()},
         {"rule", one.rule},
         {"at", FormatUtc(one.at)},
         {"count", one.bad()},
         {"min_bad", one.min_bad},
         {"percent", one.percent},
         {"percent_limit", one.percent_limit},
         {"shadow", one.shadow},
         {"expected", one.expected.has_value() ? Json(FormatUtc(*one.expected)) : Json(nullptr)}});
  }
  return {{"outcomes", Three(outcomes_)},
          {"lines", lines_.lines},
          {"attempts", outcomes_.total()},
          {"malformed", lines_.malformed},
          {"rejected", lines_.rejected},
          {"not_mine", lines_.not_mine},
          {"unattributed", unattributed_},
          {"left_out", std::move(left_out)},
          {"classes", std::move(classes)},
          {"domains", list(domains, "domain")},
          {"subjects", list(others, "subject")},
          {"warnings", std::move(warnings)},
          {"rejected_recipients", rejected_recipients_}};
}

bool Contains(const std::string& text, const char* part) { return absl::StrContains(text, part); }

// "Exim's main log", for people.
std::string LogName(const std::string& format) {
  const bool exim = Contains(format, "exim");
  const bool postfix = Contains(format, "postfix");
  if (exim && postfix) return "a log of Exim and Postfix";
  return exim      ? "Exim's main log"
         : postfix ? "Postfix's mail log"
                   : "neither Exim's nor Postfix's log";
}

}  // namespace

absl::StatusOr<Json> Replay(const ReplayOptions& options) {
  absl::StatusOr<std::unique_ptr<ReplayInput>> input = ReplayInput::Open(options);
  if (!input.ok()) return input.status();

  const SystemClock clock;
  CaseTable cases;
  Tally tally(*options.policy);
  Limiter limiter({.node = "replay", .max_messages = 10'000'000, .max_recipients = 40'000'000},
                  {options.policy, std::make_shared<ChargeLists>(options.lists)}, &clock, &cases);
  ReadAhead ahead(input->get());
  EventBatch batch;
  for (bool more = true; more;) {
    absl::StatusOr<bool> read = ahead.Next(&batch);
    if (!read.ok()) return read.status();
    more = *read;
    limiter.Record(batch).Notify(&tally);
    if (options.progress) options.progress(ahead.done());
  }
  Json result = tally.Result();
  Json files = Json::array();
  bool exim = false, postfix = false;
  for (const ReplayInput::Found& one : (*input)->found()) {
    exim = exim || Contains(one.format, "exim");
    postfix = postfix || Contains(one.format, "postfix");
    files.push_back({{"path", one.path}, {"format", one.format}});
  }
  result["format"] = exim && postfix ? "exim and postfix"
                     : exim          ? "exim"
                     : postfix       ? "postfix"
                                     : "none";
  result["recognised"] = options.format == LogFormat::kAny;
  result["files"] = std::move(files);
  return result;
}

bool IsNoSuchLog(const Json& result) {
  const int64_t lines = Number(result, "lines");
  // What was only accepted may have blocked somebody.
  if (!At(result, "subjects").empty() || !At(result, "domains").empty()) return false;
  return lines > 0 && Number(result, "attempts") == 0 && Number(result, "rejected") == 0 &&
         Number(result, "unattributed") == 0;
}

std::string ReplayPage(const Json& result) {
  auto number = [](const Json& json, const char* name) { return json[name].get<int64_t>(); };
  std::string out;
  if (result["recognised"] == true && result["format"] != "none") {
    if (result["format"] != "exim and postfix") {
      absl::StrAppend(&out, "Read as ", LogName(result["format"]), ".\n");
    } else {
      for (const Json& file : result["files"]) {
        absl::StrAppend(&out, PrintableUtf8(file["path"].get<std::string>()), ": ",
                        LogName(file["format"]), "\n");
      }
    }
  }
  absl::StrAppendFormat(
      &out, "%d lines: %d attempts, %d rejections, %d malformed, %d unattributed\n",
      number(result, "lines"), number(result, "attempts"), number(result, "rejected"),
      number(result, "malformed"), number(result, "unattributed"));
  const Json& outcomes = result["outcomes"];
  absl::StrAppendFormat(&out, "attempts: %d delivered, %d deferred, %d failed\n",
                        number(outcomes, "delivered"), number(outcomes, "deferred"),
                        number(outcomes, "failed"));
  if (const int64_t rejected = number(result, "rejected_recipients"); rejected > 0) {
    absl::StrAppendFormat(&out, "rejected at RCPT time to senders of yours: %d recipients\n",
                          rejected);
  }
  std::string reasons;
  for (const auto& [reason, count] : result["left_out"].items()) {
    if (count.get<int64_t>() == 0) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : ", ", reason, " ", count.get<int64_t>());
  }
  if (!reasons.empty()) absl::StrAppend(&out, Wrapped("left out: ", reasons));
  std::vector<std::pair<int64_t, std::string>> classes;
  for (const auto& [name, count] : result["classes"].items()) {
    classes.emplace_back(-count.get<int64_t>(), name);
  }
  std::sort(classes.begin(), classes.end());
  std::string answers;
  for (const auto& [minus, name] : classes) {
    absl::StrAppend(&answers, answers.empty() ? "" : ", ", name, " ", -minus);
  }
  if (!answers.empty()) absl::StrAppend(&out, Wrapped("answers:  ", answers));

  std::vector<const Json*> rows;
  for (const char* list : {"domains", "subjects"}) {
    for (const Json& one : result[list]) rows.push_back(&one);
  }
  auto bad = [&](const Json* one) {
    return number((*one)["counted"], "deferred") + number((*one)["counted"], "failed");
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const Json* a, const Json* b) { return bad(a) > bad(b); });
  if (IsNoSuchLog(result) && result["recognised"] == true) {
    out +=
        "\nNo line is a delivery by Exim or Postfix. replay reads Exim's main log (not rejectlog "
        "or\n"
        "paniclog) and Postfix's mail log, plain or .gz, also as syslog, journalctl (not -o cat) "
        "and\n"
        "containers write them; each line needs its time stamp.\n";
    return out;
  }
  if (IsNoSuchLog(result)) {
    const bool postfix = result["format"] == "postfix";
    absl::StrAppend(&out, "\nThat was read as ", postfix ? "Postfix's mail log" : "Exim's main log",
                    ", and no line is a delivery. If it is ", postfix ? "Exim's" : "Postfix's",
                    ":\n--format ", postfix ? "exim" : "postfix", "\n");
    return out;
  }
  if (rows.empty()) {
    out +=
        "\nNobody was charged. Mail is charged to logins, local users and hosts listed in\n"
        "[charge] relay_hosts; --charge sender charges every attempt to its envelope sender.\n";
    return out;
  }
  constexpr size_t kShown = 20;
  absl::StrAppendFormat(&out, "\n%9s %9s %9s  %s\n", "DELIVERED", "DEFERRED", "FAILED",
                        "SUBJECT (counted; worst first)");
  for (size_t i = 0; i < rows.size() && i < kShown; ++i) {
    const Json& one = *rows[i];
    const Json& counted = one["counted"];
    const Json& name = one.contains("domain") ? one["domain"] : one["subject"];
    absl::StrAppendFormat(&out, "%9d %9d %9d  %s\n", number(counted, "delivered"),
                          number(counted, "deferred"), number(counted, "failed"),
                          CutUtf8(PrintableUtf8(name.get<std::string>()), 47));
  }
  if (rows.size() > kShown) absl::StrAppendFormat(&out, "... and %d more\n", rows.size() - kShown);

  struct Block {
    std::string since;
    std::string line;
  };
  std::vector<Block> blocks;
  for (const Json* one : rows) {
    const Json& name = one->contains("domain") ? (*one)["domain"] : (*one)["subject"];
    for (const Json& block : (*one)["blocks"]) {
      const std::string since = block["since"].get<std::string>();
      blocks.push_back(
          {since, absl::StrFormat(
                      "%s %s  %s rule %s: %d %s, %d%%, until %s%s\n", since.substr(0, 10),
                      since.substr(11, 5), PrintableUtf8(name.get<std::string>()),
                      block["rule"].get<std::string>(), number(block, "count"), CountedWords(block),
                      number(block, "percent"), block["until"].get<std::string>().substr(11, 5),
                      block["shadow"] == true ? " (shadow)" : "")});
    }
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.since < b.since; });
  if (!blocks.empty()) out += "\nBlocks (UTC)\n";
  for (size_t i = 0; i < blocks.size() && i < kShown; ++i) out += blocks[i].line;
  if (blocks.size() > kShown) {
    absl::StrAppendFormat(&out, "... and %d more\n", blocks.size() - kShown);
  }
  if (blocks.empty()) out += "\nNo blocks.\n";
  return out;
}

}  // namespace deferd
