#include "exporter/console/owner_page.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "exporter/api/form.h"
#include "exporter/api/secret.h"
#include "exporter/console/assets.h"
#include "exporter/console/delivery_table.h"
#include "exporter/console/guards.h"
#include "exporter/console/page.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/why_head.h"
#include "limiter/port/log.h"

namespace deferd {
namespace {

constexpr int64_t kOwnMessages = 50;
constexpr size_t kMaxCases = 1000;        // whose requests are counted
constexpr char kPoolName[] = "(owners)";  // no token can have it
constexpr char kOurPeople[] = "the administrator of this server";
constexpr char kAskThem[] = "The administrator of this server can.";

// One case as its owner's link opens it.
struct OwnersCase {
  OwnerLinks::Claim claim;
  Case record;
  Token token;  // what the page may read: the subject's domain
  absl::Time now;

  bool closed() const { return record.state == CaseState::kClosed; }
};

HttpReply Refused(int code, absl::string_view title, absl::string_view text) {
  return PlainPage(code, title, [&](Html* html) {
    html->Put("h1", title);
    html->Put("p", text);
  });
}

HttpReply NoSuchLink() {
  return Refused(404, "This link opens nothing",
                 "It is not complete, has expired, or its case has ended. If your mail is still "
                 "stopped, ask the administrator of your mail server.");
}

std::optional<OwnersCase> Opened(const OwnerPage::Parts& parts, const std::string& link) {
  const absl::Time now = parts.clock->Now();
  std::optional<OwnerLinks::Claim> claim = parts.links->Check(link, now);
  if (!claim.has_value() || !OwnerLinks::Serves(claim->subject)) return std::nullopt;
  std::optional<Case> record = parts.find_case(claim->case_id);
  if (!record.has_value() || !(record->subject == claim->subject) || record->shadow ||
      record->exempts()) {
    return std::nullopt;
  }
  if (record->state == CaseState::kClosed && now - record->closed_at >= OwnerPage::kGrace) {
    return std::nullopt;
  }
  Token token{.name = kOwnerName,
              .role = TokenRole::kViewer,
              .domains = {std::string(claim->subject.DomainPart())}};
  return OwnersCase{.claim = *std::move(claim),
                    .record = *std::move(record),
                    .token = std::move(token),
                    .now = now};
}

// Whether the rule lets owners release at all.
bool RuleAllows(const OwnerPage::Parts& parts, const Case& record) {
  if (record.manual || record.state != CaseState::kBlocked) return false;
  const std::shared_ptr<const Policy> policy = parts.policy();
  const Rule* const rule = policy->FindRule(record.rule);
  return rule != nullptr && rule->owner_release && record.measure.what == Measure::What::kBad;
}

// Why the owner may not release now, as a clause; empty: the owner may.
std::string WhyNoRelease(const OwnerPage::Parts& parts, const OwnersCase& opened) {
  if (!RuleAllows(parts, opened.record)) return "the rule that stopped the mail does not allow it";
  if (opened.now - parts.last_release(opened.record.subject) < OwnerPage::kReleaseEvery) {
    return "you have done so within the last 24 hours";
  }
  return parts.why_not(opened.record, opened.now);
}

absl::StatusOr<Json> ReadWhy(const OwnerPage::Parts& parts, const OwnersCase& opened) {
  absl::StatusOr<Json> why =
      parts.caller->Run(ResourceAt("GET", "/subjects/{subject}"), opened.record.subject.ToString(),
                        Json::object(), opened.token);
  if (!why.ok()) return why;
  // Which of the administrators it was is not the owner's business.
  const auto hide = [](Json* one) {
    if (one->is_object() && Flag(*one, "manual")) (*one)["by"] = kOurPeople;
  };
  hide(&(*why)["case"]);
  for (Json& one : (*why)["stopped_by"]) hide(&one);
  return why;
}

void WriteBanner(Html* html, const OwnersCase& opened, const Json& why) {
  const WhyLines head = WhyLinesOf(why, /*commands=*/false);
  const Html::Scope banner =
      html->In("section", {{"class", "banner bad"}, {"aria-label", "Reason"}});
  WriteBannerTitle(html, head);
  const Html::Scope lines = html->In("dl");
  for (const WhyLine& line : head.lines) {
    if (line.label == "DO") continue;
    html->Put("dt", line.label);
    html->Put("dd", absl::StrJoin(line.texts, "; "));
  }
  html->Put("dt", "CASE");
  html->Put("dd", opened.record.id);
}

void WriteWhatToDo(Html* html, const OwnersCase& opened, const Json& why) {
  html->Put("h2", "What to do");
  const Html::Scope list = html->InAs("ol", "steps");
  for (const WhyLine& line : WhyLinesOf(why, /*commands=*/false).lines) {
    if (line.label != "DO" || opened.record.manual) continue;
    for (const std::string& one : line.texts) {
      // What only those can do who write the policy.
      if (!absl::StrContains(one, "max_sent")) html->Put("li", one);
    }
  }
  html->Put("li", absl::StrCat("If you need help, ask ", kOurPeople, " and name the case ",
                               opened.record.id, "."));
}

void WriteRelease(Html* html, const OwnerPage::Parts& parts, const OwnersCase& opened,
                  const std::string& link) {
  if (!RuleAllows(parts, opened.record)) return;
  html->Put("h2", "Release it yourself");
  if (const std::string clause = WhyNoRelease(parts, opened); !clause.empty()) {
    html->Put("p", absl::StrCat("You cannot release it yourself: ", clause, ". ", kAskThem));
    return;
  }
  const Html::Scope form = html->InForm("post", OwnerUrl(link), {{"class", "card release"}});
  WriteHidden(html, "secret", parts.links->FormSecret(link));
  html->Put("p",
            "When the cause is removed, end the block here. Only what is sent from then on counts. "
            "You can do this once in 24 hours.");
  html->Put("button", "Release");
}

void WriteMessages(Html* html, const OwnerPage::Parts& parts, const OwnersCase& opened) {
  const absl::Time since = opened.record.since - opened.record.window;
  absl::StatusOr<Json> page = parts.caller->Run(
      ResourceAt("GET", "/subjects/{subject}/attempts"), opened.record.subject.ToString(),
      {{"since", FormatUtc(since)}, {"outcome", "bad"}, {"limit", kOwnMessages}}, opened.token);
  if (!page.ok()) {
    html->Put("p", "Your messages cannot be read now. Load the page again in a minute.");
    return;
  }
  const Json& rows = At(*page, "items");
  if (rows.empty()) {
    html->Put("p", "None of your messages that failed or were deferred is recorded.");
    return;
  }
  WriteDeliveries(html, rows, "Your messages that failed or were deferred, newest first",
                  /*links=*/false);
}

HttpReply CasePage(const OwnerPage::Parts& parts, const std::string& link) {
  const std::optional<OwnersCase> opened = Opened(parts, link);
  if (!opened.has_value()) return NoSuchLink();
  ShowPagesAs({.width = PageStyle::kWhole});
  ShowTimesIn(absl::UTCTimeZone(), opened->now);
  const std::string subject = opened->record.subject.ToString();
  if (opened->closed()) {
    const absl::StatusOr<Json> now = ReadWhy(parts, *opened);
    const absl::string_view since =
        !now.ok() ? "Your mail is accepted again, unless another case stops it."
        : At(*now, "stopped_by").empty() ? "Your mail is accepted again."
                                         : "Your mail was stopped again since, by another case; "
                                           "its notice has a link of its own.";
    return PlainPage(200, subject, [&](Html* html) {
      html->Put("h1", absl::StrCat(subject, ": the block has ended"));
      html->Put("p", absl::StrCat("Case ", opened->record.id, " ended at ",
                                  ZonedMinute(FormatUtc(opened->record.closed_at)), ". ", since));
    });
  }
  const absl::StatusOr<Json> why = ReadWhy(parts, *opened);
  if (!why.ok()) {
    return Refused(503, "Not available",
                   "Nothing can be read now. Load the page again in a minute.");
  }
  return PlainPage(200, subject, [&](Html* html) {
    WriteBanner(html, *opened, *why);
    WriteWhatToDo(html, *opened, *why);
    WriteRelease(html, parts, *opened, link);
    WriteMessages(html, parts, *opened);
    html->PutAs(
        "p", "faint",
        absl::StrCat("Times in UTC. Whoever has the address of this page can open it, until ",
                     ZonedMinute(FormatUtc(opened->claim.expires)), "."));
  });
}

HttpReply ReleaseCase(const OwnerPage::Parts& parts, const std::string& link) {
  const std::optional<OwnersCase> opened = Opened(parts, link);
  if (!opened.has_value()) return NoSuchLink();
  const std::string subject = opened->record.subject.ToString();
  if (opened->closed()) return RedirectTo(OwnerUrl(link));
  // Reads the counts of the other nodes, too.
  const std::string clause =
      ReadWhy(parts, *opened).ok() ? WhyNoRelease(parts, *opened) : "nothing can be read now";
  const absl::Status done =
      clause.empty() ? parts.release(opened->record) : absl::FailedPreconditionError(clause);
  spdlog::info("release of {} ({}) by {}: {}", subject, opened->record.id, kOwnerName,
               done.ok() ? "done" : done.message());
  if (done.ok() || absl::IsNotFound(done)) return RedirectTo(OwnerUrl(link));
  return Refused(409, "Not released",
                 clause.empty()
                     ? "It cannot be done now. Try again in a minute."
                     : absl::StrCat("You cannot release it yourself: ", clause, ". ", kAskThem));
}

HttpReply TooMany() {
  HttpReply reply = Refused(429, "Too many requests", "Wait a minute and load the page again.");
  reply.headers.emplace_back("Retry-After", "60");
  return reply;
}

}  // namespace

std::shared_ptr<void> BusyCases::Begin(const std::string& id) {
  MutexLock lock(&mutex_);
  if (!ids_.insert(id).second) return nullptr;
  return {this, [self = shared_from_this(), id](void*) { self->End(id); }};
}

void BusyCases::End(const std::string& id) {
  MutexLock lock(&mutex_);
  ids_.erase(id);
}

OwnerPage::OwnerPage(Parts parts)
    : parts_(std::make_shared<const Parts>(std::move(parts))), strangers_(5, 20) {}

bool OwnerPage::Has(absl::string_view path) {
  return absl::StartsWith(path, OwnerLinks::kPath) || path == "/console.css";
}

HttpReply OwnerPage::Answer(const HttpRequest& request) {
  if (request.path == "/console.css") {
    HttpReply css = Asset("text/css; charset=utf-8", StyleSheet());
    AddGuards(PageKind::kConsole, &css);
    return css;
  }
  HttpReply reply = AnswerLink(request);
  GuardAnswer(
      PageKind::kOwner,
      [](bool) { return Refused(503, "Busy", "Wait a minute and load the page again."); }, &reply);
  return reply;
}

HttpReply OwnerPage::AnswerLink(const HttpRequest& request) {
  const absl::Time now = parts_->clock->Now();
  const bool acts = request.method == "POST";
  if (!acts && request.method != "GET") {
    return {
        .code = 405, .reason = "Method Not Allowed", .type = "text/plain", .body = "GET, POST\n"};
  }
  const std::string link(absl::StripPrefix(request.path, OwnerLinks::kPath));
  const std::optional<OwnerLinks::Claim> claim = parts_->links->Check(link, now);
  if (!claim.has_value()) {
    if (strangers_.Take(now)) return NoSuchLink();
    return TooMany();
  }
  if (cases_.size() >= kMaxCases) cases_.clear();
  if (!cases_.try_emplace(claim->case_id, Bucket(0.5, 20)).first->second.Take(now)) {
    return TooMany();
  }
  HttpReply reply;
  reply.owner = kPoolName;  // all owners together get what a token gets
  const auto in_work = [&](HttpReply (*answer)(const Parts&, const std::string&)) {
    std::shared_ptr<void> turn = busy_->Begin(claim->case_id);
    if (turn == nullptr) return TooMany();
    reply.work = [parts = parts_, link, answer, turn = std::move(turn)]() mutable {
      HttpReply done = answer(*parts, link);
      turn.reset();  // before the client hears of it
      return done;
    };
    return reply;
  };
  if (!acts) return in_work(&CasePage);
  const std::optional<Form> form = Form::Parse(request.body);
  if (request.content_type != kFormType || IsFromElsewhere(request) || !form.has_value() ||
      !SameSecret(form->Get("secret"), parts_->links->FormSecret(link))) {
    return Refused(403, "Not released", "This form is not of this page. Load the page again.");
  }
  return in_work(&ReleaseCase);
}

}  // namespace deferd
