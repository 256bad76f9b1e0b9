#include "limiter/intake/postfix_reader.h"

#include <pwd.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/intake/joining_reader.h"
#include "limiter/intake/postfix_line.h"
#include "limiter/intake/reader_events.h"
#include "limiter/intake/reader_state.h"
#include "limiter/intake/syslog_prefix.h"
#include "policy/on_this_host.h"

namespace deferd {
namespace {

constexpr size_t kHandedBack = 200;     // ids of removed messages
constexpr size_t kMaxSessions = 2'000;  // more than the smtpd(8) processes of any host

std::string SystemUserName(int64_t uid) {
  std::vector<char> buffer(16 << 10);
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(static_cast<uid_t>(uid), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "" : found->pw_name;
}

// The sender of messages that Postfix creates itself, besides the null sender
// (double_bounce_sender, by default).
bool IsDoubleBounce(absl::string_view sender) {
  return absl::StartsWith(sender, "double-bounce@") || sender == "double-bounce";
}

bool IsLoopback(absl::string_view ip) { return absl::StartsWith(ip, "127.") || ip == "::1"; }

class PostfixReader : public JoiningReader {
 public:
  explicit PostfixReader(const PostfixReaderOptions& options)
      : JoiningReader(options),
        user_name_(options.user_name ? options.user_name : SystemUserName) {}

  void ReadLine(absl::string_view line, EventBatch* batch) override {
    ++batch->counts.lines;
    const LogUnwrapper::Result unwrapped = unwrapper_.Take(&line);
    absl::ConsumeSuffix(&line, "\r");
    if (unwrapped == LogUnwrapper::Result::kNothing || line.empty()) {
      ++batch->counts.not_mine;
      return;
    }
    std::optional<SyslogPrefix> prefix;
    if (unwrapped == LogUnwrapper::Result::kLine) prefix = TakeSyslogPrefix(&stamps_, &line);
    if (!prefix) {
      ++(IsNoEntry(line) ? batch->counts.not_mine : batch->counts.malformed);
      return;
    }
    last_stamp_ = prefix->time;
    absl::string_view program;
    const bool scanner = prefix->tag == "MailScanner";
    if (!scanner && !IsPostfixTag(prefix->tag, &program)) {
      if (IsPostfixUnit(prefix->tag)) program = PostfixProgramOf(line);
      if (program.empty()) {
        ++batch->counts.not_mine;
        return;
      }
    }
    const int64_t times = TakeRepeated(&line);
    const PostfixLine parsed =
        scanner ? ParseMailScannerLine(line) : ParsePostfixLine(program, line);
    Count(parsed, batch);
    if (parsed.action == "proxy-reject") EndDoubtOf(*prefix);
    if (IsOfSession(parsed)) {
      FollowSession(*prefix, parsed, batch);
      return;
    }
    for (int64_t i = 0; i < times; ++i) Read(parsed, batch);
  }

  void Finish(EventBatch* /*batch*/) override {}
  std::string SaveState() const override {
    ReaderState state = CommonState();
    state.sessions.assign(sessions_.begin(), sessions_.end());
    return EncodeReaderState(state, {});
  }

 private:
  void RestoreOwn(const ReaderState& state, std::deque<Attempt> /*early*/) override {
    sessions_.assign(state.sessions.begin(), state.sessions.end());
  }

  void Resume(ArrivedMessage* message) const override {
    const Identity& identity = message->identity;
    message->origin = OriginOf(identity);
    message->active =
        !identity.sender.empty() || identity.made_by_mta || !message->deferred.empty();
  }

  // After a restart, as far as the identity shows.
  ArrivedMessage::Origin OriginOf(const Identity& identity) const {
    if (!identity.user.empty()) return ArrivedMessage::Origin::kLocalUser;
    if (identity.host.empty() || identity.made_by_mta) return ArrivedMessage::Origin::kMta;
    return Trusts(identity.host) ? ArrivedMessage::Origin::kOwnHost
                                 : ArrivedMessage::Origin::kClient;
  }

  static bool IsAttempt(const PostfixLine& line) {
    if (line.kind != PostfixLineKind::kDelivery) return line.kind == PostfixLineKind::kExpired;
    return OutcomeOf(line).has_value();
  }

  // Address probes are not attempts.
  static std::optional<Outcome> OutcomeOf(const PostfixLine& line) {
    if (line.status == "sent") return Outcome::kDelivered;
    if (line.status == "deferred" || line.status == "SOFTBOUNCE") return Outcome::kDeferred;
    if (line.status == "bounced") return Outcome::kFailed;
    if (line.status == "expired") return Outcome::kExpired;
    return std::nullopt;
  }

  void Count(const PostfixLine& line, EventBatch* batch) {
    if (line.kind == PostfixLineKind::kMalformed) {
      ++batch->counts.malformed;
    } else if (line.kind == PostfixLineKind::kRejected) {
      ++batch->counts.rejected;
    } else if (IsAttempt(line) && !IsHandOver(line) && !ExpiresForNobody(line)) {
      ++batch->counts.attempts;
    } else {
      ++batch->counts.not_mine;
    }
  }

  void Read(const PostfixLine& line, EventBatch* batch) {
    switch (line.kind) {
      case PostfixLineKind::kClient:
      case PostfixLineKind::kPickup:
        Arrive(line, batch);
        break;
      case PostfixLineKind::kMessageId:
        // Postfix created or forwarded the message: no client.
        if (ArrivedMessage* message = messages_.Find(line.id); message == nullptr) {
          Arrive(line, batch);
        } else if (!message->active && IsOwnMail(message->identity, line.message_id)) {
          message->identity.made_by_mta = true;
        }
        hand_overs_.Name(line.id, line.message_id);
        break;
      case PostfixLineKind::kActive:
        Activate(line, batch);
        break;
      case PostfixLineKind::kDelivery:
        if (IsAttempt(line)) Deliver(line, batch);
        break;
      case PostfixLineKind::kExpired:
        Expire(line, batch);
        break;
      case PostfixLineKind::kNotice:
        if (ArrivedMessage* notice = messages_.Find(line.notice_id)) {
          notice->identity.made_by_mta = notice->identity.sender.empty();
        }
        break;
      case PostfixLineKind::kRejected:
        if (absl::EndsWith(line.action, "hold")) IdentifyHeld(line, batch);
        if (tell_all_ || IsRejectedRecipient(line)) ShowRejected(line, batch);
        // Rejected as a whole, the message disappears without another line.
        if (!line.id.empty() && !absl::EndsWith(line.action, "hold") &&
            (line.agent == "cleanup" || line.stage == "DATA" || line.stage == "END-OF-MESSAGE")) {
          Remove(line.id, batch);
        }
        break;
      case PostfixLineKind::kHeld:
        if (tell_all_) ShowHeld(line, batch);
        break;
      case PostfixLineKind::kRemoved:
        Remove(line.id, batch);
        break;
      case PostfixLineKind::kRequeued:
        Requeue(line, batch);
        break;
      case PostfixLineKind::kProxyClient:
      case PostfixLineKind::kProxyAccept:
      case PostfixLineKind::kSession:
      case PostfixLineKind::kOther:
      case PostfixLineKind::kMalformed:
        break;
    }
  }

  void Arrive(const PostfixLine& line, EventBatch* batch) {
    Identity identity;
    Assign(line.client_ip, &identity.host);
    Assign(line.login, &identity.login);
    Assign(line.sender, &identity.sender);
    if (!line.uid.empty()) identity.user = UserOf(line.uid);
    using Origin = ArrivedMessage::Origin;
    const bool handed_back = !line.client_ip.empty() && Trusts(line.client_ip);
    const Origin origin = handed_back                             ? Origin::kOwnHost
                          : line.kind == PostfixLineKind::kClient ? Origin::kClient
                          : line.kind == PostfixLineKind::kPickup ? Origin::kLocalUser
                                                                  : Origin::kMta;
    // Handed back by a filter, or requeued: it belongs to the original's sender.
    std::vector<std::string> deferred;
    bool handed_over = false;
    if (!line.orig_id.empty() && (handed_back || origin == Origin::kLocalUser)) {
      if (ArrivedMessage* first = messages_.Find(line.orig_id)) {
        identity = first->identity;
        handed_over = first->active || first->handed_over;
        if (origin == Origin::kLocalUser) deferred = std::move(first->deferred);
        if (handed_back) hand_overs_.Proven(line.orig_id, line.id);
      }
      if (origin == Origin::kLocalUser) {
        hand_overs_.Rename(line.orig_id, line.id);
        Remove(line.orig_id, batch);
      }
    } else if (!line.orig_client_ip.empty() && IsOwn(line.client_ip) && line.login.empty()) {
      Assign(line.orig_client_ip, &identity.host);
    }
    ArrivedMessage* message = messages_.Open(line.id, tell_all_ ? &forgotten_ : nullptr);
    AddForgotten(line.id, last_stamp_, &forgotten_, batch);
    *message = {last_stamp_, std::move(identity), std::move(deferred), false, origin, handed_over};
    if (origin == Origin::kOwnHost && IsBroughtByOwn(message->identity)) DoubtOfSession(line.id);
    if (!tell_all_) return;
    AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, line.id, message, batch)->deferred =
        message->deferred;
  }

  std::string UserOf(absl::string_view uid) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(uid, &number)) return absl::StrCat("uid", uid);
    auto [entry, is_new] = users_.try_emplace(number);
    if (is_new) {
      entry->second = user_name_(number);
      if (entry->second.empty()) entry->second = absl::StrCat("uid", uid);
    }
    return entry->second;
  }

  // Logged for each delivery run; the first one means that the message is queued.
  void Activate(const PostfixLine& line, EventBatch* batch) {
    ArrivedMessage* message = messages_.Find(line.id);
    if (message == nullptr) {
      message = messages_.Open(line.id, nullptr);
      *message = {last_stamp_, Identity(), {}};
    }
    if (message->active) return;
    message->active = true;
    Identity& identity = message->identity;
    Assign(line.sender, &identity.sender);
    // deferd's own mail has no sender either.
    if (!line.sender.empty() && !IsDoubleBounce(line.sender)) identity.made_by_mta = false;
    if (message->origin == ArrivedMessage::Origin::kMta &&
        (line.sender.empty() || IsDoubleBounce(line.sender))) {
      identity.made_by_mta = true;
    }
    CompareHandOvers(line, message);
    if (!tell_all_) return;
    LogEvent* event =
        AddMessageEvent(LogEvent::Kind::kArrived, last_stamp_, line.id, message, batch);
    hand_overs_.Apply(line.id, &event->attempt.identity);
    event->attempt.recipients = line.nrcpt;
    event->attempt.handed_over = message->handed_over || hand_overs_.IsCopy(line.id);
  }

  // One of our own hosts brought it, and the log names nobody else.
  bool IsBroughtByOwn(const Identity& identity) const {
    return identity.login.empty() && identity.user.empty() && !identity.host.empty() &&
           (IsThisHost(identity.host) || IsOwn(identity.host));
  }

  void CompareHandOvers(const PostfixLine& line, ArrivedMessage* message) {
    if (message->origin == ArrivedMessage::Origin::kMta ||
        message->origin == ArrivedMessage::Origin::kUnknown) {
      return;
    }
    Identity& identity = message->identity;
    const bool own_mail = identity.made_by_mta;
    const bool own = IsBroughtByOwn(identity);
    ProxySession* session = own ? SessionInDoubtOf(line.id) : nullptr;
    const bool inherited = hand_overs_.Arrive(line.id, "", line.nrcpt, own, last_stamp_, &identity);
    identity.made_by_mta |= own_mail;  // whatever it looks like a copy of
    if (session == nullptr) return;
    if (inherited) {
      session->doubtful.clear();
    } else {
      hand_overs_.SetUnclear(line.id, identity.host);
    }
  }

  ProxySession* SessionInDoubtOf(absl::string_view id) {
    for (ProxySession& session : sessions_) {
      if (session.doubtful == id) return &session;
    }
    return nullptr;
  }

  // Possibly the message that a session has passed to a filter. One session has one message, so a
  // client that keeps its session open can hide only one.
  bool DoubtOfSession(absl::string_view id) {
    const ArrivedMessage* message = messages_.Find(id);
    for (ProxySession& session : sessions_) {
      if (session.answered || !session.doubtful.empty() || message == nullptr ||
          session.since > message->arrival) {
        continue;
      }
      Assign(id, &session.doubtful);
      return true;
    }
    return false;
  }

  // The session has its answer, or will not get one.
  void EndDoubt(ProxySession* session) {
    session->answered = true;
    const std::string id = std::exchange(session->doubtful, "");
    if (!id.empty() && !DoubtOfSession(id)) hand_overs_.SetClear(id);
  }

  // A message on hold from the start does not become active: only this line names its sender.
  void IdentifyHeld(const PostfixLine& line, EventBatch* batch) {
    ArrivedMessage* message = line.id.empty() ? nullptr : messages_.Find(line.id);
    if (message == nullptr || message->active || !message->identity.sender.empty()) return;
    Assign(line.sender, &message->identity.sender);
    if (!tell_all_) return;
    AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, line.id, message, batch)->deferred =
        message->deferred;
  }

  bool Trusts(absl::string_view ip) const {
    return IsLoopback(ip) || own_hosts_.ContainsAddress(ip);
  }

  // The delivery of a message that continues in this log under another id.
  bool IsHandOver(const PostfixLine& line) {
    if (line.kind != PostfixLineKind::kDelivery || line.queued_as.empty()) return false;
    if (line.queued_as == line.id) return false;
    const bool to_own = line.to_socket || (!line.host_ip.empty() && Trusts(line.host_ip));
    const ArrivedMessage* next = messages_.Find(line.queued_as);
    if (next == nullptr) return to_own && WasHandedBack(line.queued_as);
    if (line.agent == "local") return next->origin == ArrivedMessage::Origin::kMta;  // forwarded
    return to_own && next->origin == ArrivedMessage::Origin::kOwnHost;
  }

  bool WasHandedBack(absl::string_view id) const {
    return std::find(handed_back_.begin(), handed_back_.end(), id) != handed_back_.end();
  }

  void Deliver(const PostfixLine& line, EventBatch* batch) {
    if (IsHandOver(line)) {
      HandOver(line, batch);
      return;
    }
    ArrivedMessage* message = messages_.Find(line.id);
    LogEvent* event =
        AddMessageEvent(LogEvent::Kind::kAttempt, last_stamp_, line.id, message, batch);
    Attempt& attempt = event->attempt;
    Assign(line.recipient, &attempt.recipient);
    for (char& c : attempt.recipient) c = absl::ascii_tolower(static_cast<unsigned char>(c));
    hand_overs_.Apply(line.id, attempt.recipient, line.original, &attempt.identity);
    Assign(line.original, &attempt.original);
    Assign(line.agent, &attempt.transport);
    Assign(line.host, &attempt.host);
    Assign(line.host_ip, &attempt.host_ip);
    attempt.port = line.port;
    Assign(line.text, &attempt.reply);
    attempt.outcome = *OutcomeOf(line);
    // "relay=NAME[PATH]" is a socket, "relay=local" an agent of Postfix's own.
    attempt.remote = !line.host_ip.empty();
    if (message == nullptr) return;
    const bool to_own = line.to_socket || (!line.host_ip.empty() && IsOwn(line.host_ip));
    if (attempt.outcome == Outcome::kDelivered && to_own && !line.to_socket) {
      hand_overs_.GivenTo(line.id, line.host_ip, relay_hosts_.ContainsAddress(line.host_ip));
    } else if (attempt.outcome == Outcome::kDeferred && !to_own &&
               (!line.host_ip.empty() || line.agent != "lmtp")) {
      hand_overs_.DeferredElsewhere(line.id);
    }
    if (Remember(attempt, message) && tell_all_) {
      AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, line.id, message, batch)->deferred =
          message->deferred;
    }
  }

  // Updates the deferred recipients, for the expiry of the message. True if they changed.
  static bool Remember(const Attempt& attempt, ArrivedMessage* message) {
    std::vector<std::string>& deferred = message->deferred;
    auto known = std::find(deferred.begin(), deferred.end(), attempt.recipient);
    if (attempt.outcome != Outcome::kDeferred) {
      if (known == deferred.end()) return false;
      deferred.erase(known);
      return true;
    }
    if (known != deferred.end() || deferred.size() >= OpenMessages::kMaxDeferred) return false;
    deferred.push_back(attempt.recipient);
    return true;
  }

  void HandOver(const PostfixLine& line, EventBatch* batch) {
    ArrivedMessage* message = messages_.Find(line.id);
    if (message == nullptr) return;
    // A recipient delivered this way is no longer deferred.
    std::string recipient(line.recipient);
    for (char& c : recipient) c = absl::ascii_tolower(static_cast<unsigned char>(c));
    auto waiting = std::find(message->deferred.begin(), message->deferred.end(), recipient);
    if (waiting != message->deferred.end()) {
      message->deferred.erase(waiting);
      if (tell_all_) {
        AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, line.id, message, batch)
            ->deferred = message->deferred;
      }
    }
    if (ArrivedMessage* next = messages_.Find(line.queued_as)) {
      hand_overs_.Proven(line.id, line.queued_as);
      next->handed_over = true;
      GoOnAs(message->identity, line.queued_as, next, batch);
    }
  }

  // `next` is the new id of the message whose sender is in `first`.
  void GoOnAs(const Identity& first, absl::string_view id, ArrivedMessage* next,
              EventBatch* batch) {
    Identity& identity = next->identity;
    if (identity.login == first.login && identity.user == first.user &&
        identity.host == first.host && identity.made_by_mta == first.made_by_mta) {
      return;
    }
    identity.login = first.login;
    identity.user = first.user;
    identity.host = first.host;
    identity.made_by_mta = first.made_by_mta;
    hand_overs_.Identify(id, identity);
    if (!tell_all_) return;
    LogEvent* event = AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, id, next, batch);
    event->deferred = next->deferred;
    event->attempt.handed_over = next->handed_over;
  }

  // MailScanner holds each message, checks it and requeues it; qmgr(8) may log the new id first.
  void Requeue(const PostfixLine& line, EventBatch* batch) {
    const ArrivedMessage* held = messages_.Find(line.id);
    if (held == nullptr || line.id == line.queued_as) return;
    const ArrivedMessage first = *held;
    Remove(line.id, batch);
    ArrivedMessage* next = messages_.Find(line.queued_as);
    if (next == nullptr) {
      next = messages_.Open(line.queued_as, tell_all_ ? &forgotten_ : nullptr);
      AddForgotten(line.queued_as, last_stamp_, &forgotten_, batch);
      *next = {last_stamp_, Identity(), first.deferred, false, first.origin};
      next->identity.sender = first.identity.sender;
      next->handed_over = first.active || first.handed_over;
    } else if (next->origin == ArrivedMessage::Origin::kUnknown) {
      next->origin = first.origin;
    } else {
      return;  // the log shows how it came
    }
    GoOnAs(first.identity, line.queued_as, next, batch);
  }

  static bool IsOfSession(const PostfixLine& line) {
    return line.kind == PostfixLineKind::kProxyClient ||
           line.kind == PostfixLineKind::kProxyAccept || line.kind == PostfixLineKind::kSession;
  }

  // smtpd_proxy_filter: the smtpd(8) that knows client and login passes the message to a filter
  // while it receives the message, and has no id for it. The returned message belongs to another
  // smtpd; the first one logs the filter's reply with that id. One process serves one client at a
  // time.
  void FollowSession(const SyslogPrefix& prefix, const PostfixLine& line, EventBatch* batch) {
    // Without process numbers, processes cannot be distinguished.
    if (prefix.pid.empty() || (line.kind == PostfixLineKind::kSession && sessions_.empty())) return;
    const auto session = SessionOf(prefix);
    if (line.kind == PostfixLineKind::kProxyAccept) {
      if (session == sessions_.end()) return;
      if (session->doubtful == line.queued_as) session->doubtful.clear();
      EndDoubt(&*session);
      ArrivedMessage* next = messages_.Find(line.queued_as);
      if (next == nullptr || next->origin != ArrivedMessage::Origin::kOwnHost) return;
      if (ProxySession* other = SessionInDoubtOf(line.queued_as)) other->doubtful.clear();
      hand_overs_.Proven("", line.queued_as);
      Identity first;
      first.login = session->login;
      first.host = session->client_ip;
      GoOnAs(first, line.queued_as, next, batch);
      return;
    }
    if (session != sessions_.end()) EndSession(session);
    if (line.kind != PostfixLineKind::kProxyClient) return;
    if (sessions_.size() >= kMaxSessions) EndSession(sessions_.begin());
    sessions_.push_back(
        {ProcessOf(prefix), std::string(line.client_ip), std::string(line.login), last_stamp_});
  }

  static std::string ProcessOf(const SyslogPrefix& prefix) {
    return absl::StrCat(prefix.tag, "[", prefix.pid, "]");
  }

  std::deque<ProxySession>::iterator SessionOf(const SyslogPrefix& prefix) {
    return std::find_if(
        sessions_.begin(), sessions_.end(),
        [process = ProcessOf(prefix)](const auto& one) { return one.process == process; });
  }

  void EndDoubtOf(const SyslogPrefix& prefix) {
    const auto session = SessionOf(prefix);
    if (session != sessions_.end()) EndDoubt(&*session);
  }

  void EndSession(std::deque<ProxySession>::iterator session) {
    EndDoubt(&*session);
    sessions_.erase(session);
  }

  // All recipients are known to be delivered or failed.
  bool ExpiresForNobody(const PostfixLine& line) {
    if (line.kind != PostfixLineKind::kExpired) return false;
    const ArrivedMessage* message = messages_.Find(line.id);
    return message != nullptr && message->deferred.empty() &&
           message->origin != ArrivedMessage::Origin::kUnknown;
  }

  void Expire(const PostfixLine& line, EventBatch* batch) {
    ArrivedMessage* message = messages_.Find(line.id);
    if (ExpiresForNobody(line)) return;
    std::vector<std::string> left;
    if (message != nullptr) left.swap(message->deferred);
    if (left.empty()) left.emplace_back();  // an unknown recipient
    for (const std::string& recipient : left) {
      LogEvent* event =
          AddMessageEvent(LogEvent::Kind::kAttempt, last_stamp_, line.id, message, batch);
      Attempt& attempt = event->attempt;
      if (message == nullptr) Assign(line.sender, &attempt.identity.sender);
      attempt.recipient = recipient;
      hand_overs_.Apply(line.id, attempt.recipient, "", &attempt.identity);
      attempt.outcome = Outcome::kExpired;
      attempt.bare_expiry = true;
      Assign(line.text, &attempt.reply);
    }
  }

  // A permanent rejection, before any delivery.
  static bool IsRejectedRecipient(const PostfixLine& line) {
    return line.agent == "smtpd" && line.action == "reject" && line.stage == "RCPT" &&
           absl::StartsWith(line.text, "5");
  }

  // The client chose the sender; address and login are Postfix's own data.
  void ShowRejected(const PostfixLine& line, EventBatch* batch) {
    const ArrivedMessage* message = line.id.empty() ? nullptr : messages_.Find(line.id);
    LogEvent* event = AddMessageEvent(LogEvent::Kind::kShown, last_stamp_, line.id, message, batch);
    Attempt& shown = event->attempt;
    if (message == nullptr) {
      Assign(line.client_ip, &shown.identity.host);
      Assign(line.login, &shown.identity.login);
      shown.identity.unclear =
          line.login.empty() && !line.client_ip.empty() && hand_overs_.IsFilter(line.client_ip);
    }
    if (shown.identity.sender.empty()) Assign(line.sender, &shown.identity.sender);
    shown.outcome = absl::EndsWith(line.action, "hold")      ? Outcome::kHeld
                    : absl::EndsWith(line.action, "discard") ? Outcome::kDiscarded
                    : IsRejectedRecipient(line)              ? Outcome::kRejectedRecipient
                                                             : Outcome::kRejected;
    Assign(line.recipient, &shown.recipient);
    Assign(line.host, &shown.host);
    Assign(line.client_ip, &shown.host_ip);
    Assign(line.text, &shown.reply);
  }

  void ShowHeld(const PostfixLine& line, EventBatch* batch) {
    LogEvent* event = AddMessageEvent(LogEvent::Kind::kShown, last_stamp_, line.id,
                                      messages_.Find(line.id), batch);
    event->attempt.outcome = Outcome::kHeld;
    Assign(line.text, &event->attempt.reply);
  }

  void Remove(absl::string_view id, EventBatch* batch) {
    const ArrivedMessage* message = messages_.Find(id);
    if (message != nullptr && message->origin == ArrivedMessage::Origin::kOwnHost) {
      // The reply that names the id may follow later.
      handed_back_.emplace_front(id);
      if (handed_back_.size() > kHandedBack) handed_back_.pop_back();
    }
    AddMessageEvent(LogEvent::Kind::kCompleted, last_stamp_, id, message, batch);
    if (ProxySession* session = SessionInDoubtOf(id)) session->doubtful.clear();
    hand_overs_.End(id, last_stamp_);
    messages_.Close(id);
  }

  const std::function<std::string(int64_t)> user_name_;
  absl::flat_hash_map<int64_t, std::string> users_;
  std::deque<ProxySession> sessions_;    // the oldest first
  std::deque<std::string> handed_back_;  // by a filter, and removed since; newest first
};

}  // namespace

std::unique_ptr<LogReader> NewPostfixReader(const PostfixReaderOptions& options) {
  return std::make_unique<PostfixReader>(options);
}

}  // namespace deferd
