#include "limiter/queue/mail_queue.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/charge.h"

namespace deferd {

namespace {

constexpr size_t kRowsOfMessage = 1000;

bool IsGrave(const std::string& reply_class) {
  const std::optional<ReplyClass> known = ParseReplyClass(reply_class);
  return known == ReplyClass::kContent || known == ReplyClass::kReputation ||
         known == ReplyClass::kInvalidRecipient;
}

// The script in `claimed: user=web cwd="/srv" script="33:form.php"` (the last field); empty if the
// reply is not a claim. Quoted values may hold anything.
std::string ClaimedScript(absl::string_view reply) {
  constexpr absl::string_view kField = " script=";
  if (!absl::StartsWith(reply, kClaimPrefix)) return "";
  bool quoted = false;
  for (size_t i = 0; i < reply.size(); ++i) {
    if (quoted && reply[i] == '\\') {
      ++i;
    } else if (reply[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && absl::StartsWith(reply.substr(i), kField)) {
      absl::string_view script = reply.substr(i + kField.size());
      if (absl::ConsumePrefix(&script, "\"")) absl::ConsumeSuffix(&script, "\"");
      return std::string(script);
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<Json> MailQueue::Call(const std::string& verb, const Json& args) const {
  return helpers_.Call(verb, args, kPatience);
}

absl::StatusOr<std::vector<QueuedMail>> MailQueue::List(absl::Duration limit) const {
  absl::StatusOr<std::vector<QueuedMail>> listed = helpers_.List(limit);
  if (!listed.ok()) return listed.status();
  std::vector<QueuedMail> queue = *std::move(listed);
  absl::flat_hash_set<std::string> ids;
  for (const QueuedMail& mail : queue) ids.insert(mail.id);
  absl::StatusOr<std::vector<OpenMessage>> open = parts_.ledger->OpenMessages(ids);
  if (!open.ok()) return open.status();
  absl::flat_hash_map<std::string, const OpenMessage*> from_log;
  for (const OpenMessage& message : *open) {
    // Several logs may name the id, and MTAs reuse ids: take the newest message.
    const OpenMessage*& newest = from_log[message.key.id];
    if (newest == nullptr || newest->key.arrival < message.key.arrival) newest = &message;
  }
  const Settings settings = parts_.settings();
  for (QueuedMail& mail : queue) {
    const auto found = from_log.find(mail.id);
    if (found == from_log.end()) continue;
    mail.arrival = found->second->key.arrival;
    mail.identity = found->second->identity;
    mail.charged = Charge(*settings.lists, mail.identity, "");
  }
  return queue;
}

void MailQueue::Record(const std::vector<QueuedMail>& mail, Outcome outcome,
                       const std::string& what) const {
  auto batch = std::make_unique<EventBatch>();
  for (const QueuedMail& one : mail) {
    LogEvent* event = batch->Add();
    event->kind = LogEvent::Kind::kShown;
    event->attempt = Attempt();
    event->attempt.time = Now();
    event->attempt.message = {one.id, one.arrival};
    event->attempt.identity = one.identity;
    event->attempt.outcome = outcome;
    event->attempt.reply = what;
  }
  if (batch->size() > 0) parts_.record(std::move(batch));
}

absl::StatusOr<std::vector<LedgerRow>> MailQueue::RowsOf(const std::string& id,
                                                         std::vector<Outcome> outcomes,
                                                         absl::Time since) const {
  LedgerQuery query;
  query.message_id = id;
  query.outcomes = std::move(outcomes);
  query.since = since;
  query.limit = kRowsOfMessage;
  absl::StatusOr<LedgerPage> page = parts_.ledger->Search(query);
  if (!page.ok()) return page.status();
  return std::move(page->rows);
}

std::optional<PortionOutcome> MailQueue::OutcomeOf(const std::vector<std::string>& ids,
                                                   absl::Time since) const {
  PortionOutcome outcome;
  for (const std::string& id : ids) {
    absl::StatusOr<std::vector<LedgerRow>> rows = RowsOf(
        id, {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired}, since);
    if (!rows.ok()) return std::nullopt;
    std::set<std::string> seen;  // recipients; the newest row comes first
    Counts& counts = outcome.counts;
    const int64_t before = counts.total();
    for (const LedgerRow& row : *rows) {
      if (!seen.insert(row.recipient).second) continue;
      if (row.outcome != Outcome::kDelivered && row.left_out != LeftOut::kCounts) continue;
      counts.Add(CountedAs(row.outcome));
    }
    if (counts.total() > before) ++outcome.messages;
  }
  return outcome;
}

std::optional<std::string> MailQueue::GraveOf(const Case& record) const {
  const std::optional<Receipt> receipt = parts_.receipt(record);
  if (!receipt.has_value()) return std::nullopt;
  int64_t all = 0, grave = 0;
  std::map<std::string, int64_t> classes;
  for (const auto* rows : {&receipt->rows, &receipt->others}) {
    for (const LedgerRow& row : *rows) {
      ++all;
      ++classes[row.reply_class];
      if (IsGrave(row.reply_class)) ++grave;
    }
  }
  if (all == 0) return std::nullopt;
  // In a tie the serious class wins.
  std::pair<int64_t, bool> lead;
  std::string leader;
  for (const auto& [name, count] : classes) {
    if (std::pair(count, IsGrave(name)) > lead) {
      lead = {count, IsGrave(name)};
      leader = name;
    }
  }
  if (lead.second) return absl::StrCat("most remote replies were of class ", leader);
  if (2 * grave < all) return "";
  return absl::StrCat(grave, " of ", all,
                      " remote replies were about spam, reputation or recipients");
}

std::string MailQueue::ScriptOf(const QueuedMail& mail) const {
  const auto rows = RowsOf(mail.id, {Outcome::kQueued}, absl::InfinitePast());
  for (const LedgerRow& row : rows.ok() ? *rows : std::vector<LedgerRow>()) {
    const std::string script = ClaimedScript(row.reply);
    if (!script.empty()) return script;
  }
  return mail.identity.user;
}

std::string MailQueue::SubjectLineOf(const QueuedMail& mail) const {
  const auto rows = RowsOf(mail.id, {Outcome::kQueued}, absl::InfinitePast());
  for (const LedgerRow& row : rows.ok() ? *rows : std::vector<LedgerRow>()) {
    if (!row.mail_subject.empty()) return row.mail_subject;
  }
  return "";
}

std::string MailQueue::ReasonOf(const QueuedMail& mail) const {
  const auto rows = RowsOf(mail.id, {Outcome::kDeferred, Outcome::kFailed}, absl::InfinitePast());
  return rows.ok() && !rows->empty() ? rows->front().reply_class : "";
}

}  // namespace deferd
