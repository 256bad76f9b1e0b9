#include "limiter/intake/exim_reader.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "limiter/intake/exim_line.h"
#include "limiter/intake/joining_reader.h"
#include "limiter/intake/reader_events.h"
#include "limiter/intake/reader_state.h"
#include "limiter/intake/syslog_prefix.h"
#include "policy/message_id.h"
#include "policy/on_this_host.h"

namespace deferd {
namespace {

// Cutthrough deliveries and claims that wait for their arrival line, which follows soon, between
// lines of other processes.
constexpr size_t kMaxEarly = 1000;

constexpr size_t kMaxClaim = 2000;  // bytes; local.conf limits what it quotes
constexpr absl::Duration kClaimWaits = absl::Hours(1);

constexpr absl::string_view kExpired = "retry timeout exceeded";

void ToLower(std::string* text) {
  for (char& c : *text) c = absl::ascii_tolower(c);
}

// Digits between brackets and a blank: "[15472] ".
void SkipPid(absl::string_view* text) {
  if (text->empty() || text->front() != '[') return;
  size_t n = 1;
  while (n < text->size() && absl::ascii_isdigit((*text)[n])) ++n;
  if (n > 1 && absl::StartsWith(text->substr(n), "] ")) text->remove_prefix(n + 2);
}

// Exim's "[2\8] " or "[2/3] " in front of a record that it split for syslog. 0 if there is none.
int TakePiece(absl::string_view* text) {
  if (text->empty() || text->front() != '[') return 0;
  size_t n = 1;
  int piece = 0;
  while (n < text->size() && n < 6 && absl::ascii_isdigit((*text)[n])) {
    piece = piece * 10 + ((*text)[n++] - '0');
  }
  if (piece == 0 || n == text->size() || ((*text)[n] != '\\' && (*text)[n] != '/')) return 0;
  ++n;
  while (n < text->size() && absl::ascii_isdigit((*text)[n])) ++n;
  if (!absl::StartsWith(text->substr(n), "]")) return 0;
  text->remove_prefix(n + 1);
  absl::ConsumePrefix(text, " ");
  return piece;
}

// Not an attempt: -52, -53, -54 retry time not reached; -55, -56 the message was to stay in the
// queue (-odl, queue_domains); -57 too many connections of our own. Older Exim versions log -1 and
// a text.
bool IsAttempt(const EximLine& line) {
  if (line.kind != EximLineKind::kDeferred) return true;
  if (line.defer_code <= -52 && line.defer_code >= -57) return false;
  if (line.has_host) return true;  // text of another server
  for (absl::string_view begin :
       {"domain matches queue_", "domain is in queue_", "queue_smtp_domains", "queue_domains",
        "retry time not reached", "Retry time not yet reached", "concurrency limit reached"}) {
    if (absl::StartsWith(line.text, begin)) return false;
  }
  return !absl::StrContains(line.text, "-odqs set") && !absl::StrContains(line.text, "-odq set");
}

Outcome OutcomeOf(const EximLine& line) {
  if (line.kind == EximLineKind::kDelivered) return Outcome::kDelivered;
  if (line.kind == EximLineKind::kDeferred) return Outcome::kDeferred;
  return absl::EndsWith(line.text, kExpired) ? Outcome::kExpired : Outcome::kFailed;
}

// The id in "250 OK id=ID", Exim's reply, at the end of a server's text.
absl::string_view QueuedAs(absl::string_view text) {
  while (!text.empty() && absl::StrContains(").,;\"' ", text.substr(text.size() - 1))) {
    text.remove_suffix(1);
  }
  const size_t begin = text.rfind(" id=");
  if (begin == absl::string_view::npos) return "";
  text.remove_prefix(begin + 4);
  return IsEximId(text) ? text : absl::string_view();
}

// Commands and paths are case-sensitive.
bool IsMailbox(absl::string_view recipient) {
  if (recipient.empty() || recipient.front() == '|' || recipient.front() == '/') return false;
  return recipient.front() == '"' || !absl::StrContains(recipient, ' ');
}

// C="..." has a backslash before each quote and backslash.
void AssignUnescaped(absl::string_view from, std::string* to) {
  if (!absl::StrContains(from, '\\')) return Assign(from, to);
  to->clear();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == '\\' && i + 1 < from.size()) ++i;
    to->push_back(from[i]);
  }
}

void Fill(const EximLine& line, absl::Time time, Attempt* attempt) {
  attempt->time = time;
  Assign(line.id, &attempt->message.id);
  Assign(line.recipient, &attempt->recipient);
  if (line.has_host || IsMailbox(line.recipient)) ToLower(&attempt->recipient);
  Assign(line.original, &attempt->original);
  attempt->outcome = OutcomeOf(line);
  Assign(line.router, &attempt->router);
  Assign(line.transport, &attempt->transport);
  Assign(line.host, &attempt->host);
  Assign(line.host_ip, &attempt->host_ip);
  if (line.kind == EximLineKind::kDelivered) {
    AssignUnescaped(line.text, &attempt->reply);
  } else {
    Assign(line.text, &attempt->reply);
  }
  attempt->port = line.port;
  attempt->mail_subject.clear();
  attempt->remote = line.has_host;
  attempt->bare_expiry =
      line.kind == EximLineKind::kFailed && !line.has_host && line.text == kExpired;
}

class EximReader : public JoiningReader {
 public:
  explicit EximReader(const EximReaderOptions& options) : JoiningReader(options) {}

  void ReadLine(absl::string_view line, EventBatch* batch) override {
    ++batch->counts.lines;
    const LogUnwrapper::Result unwrapped = unwrapper_.Take(&line);
    absl::ConsumeSuffix(&line, "\r");
    int64_t times = 1;
    Head head = Head::kNotMine;
    if (unwrapped == LogUnwrapper::Result::kBroken) head = Head::kMalformed;
    if (unwrapped == LogUnwrapper::Result::kLine) head = TakeHead(&line, &times);
    switch (head) {
      case Head::kNotMine:
        ++batch->counts.not_mine;
        return;
      case Head::kMalformed:
        ++batch->counts.malformed;
        return;
      case Head::kExim:
        break;
    }
    ReadText(line, batch);
    // A line that syslog repeated counts as one line, with as many entries.
    const LineCounts counts = batch->counts;
    while (--times > 0) ReadText(line, batch);
    batch->counts = counts;
  }

  void Finish(EventBatch* batch) override {
    while (!early_.empty()) DropEarliest(batch);
  }

  std::string SaveState() const override {
    ReaderState state = CommonState();
    state.own_form = own_form_;
    return EncodeReaderState(state, early_);
  }

 private:
  enum class Head { kExim, kNotMine, kMalformed };

  void RestoreOwn(const ReaderState& state, std::deque<Attempt> early) override {
    own_form_ = state.own_form;
    early_ = std::move(early);
  }

  void Resume(ArrivedMessage* message) const override {
    message->deferred.clear();
    message->active = true;
    const Identity& identity = message->identity;
    if (identity.login.empty() && identity.user.empty() &&
        (IsThisHost(identity.host) || IsOwn(identity.host))) {
      message->origin = ArrivedMessage::Origin::kOwnHost;
    }
  }

  // Removes everything before Exim's own text and sets last_stamp_. `*times`: how often the line is
  // repeated.
  Head TakeHead(absl::string_view* line, int64_t* times) {
    if (line->empty()) return Head::kNotMine;
    const absl::Time before = stamps_.previous();
    absl::string_view own = *line;
    if (const std::optional<absl::Time> time = stamps_.TakeExim(&own)) {
      SkipPid(&own);
      // Another program's prefix may begin with a stamp in Exim's format. But a client can make
      // Exim log text (the argument of ETRN) that looks like such a prefix after the stamp, so the
      // prefix is not searched in a log where an entry was seen right after the stamp.
      own_form_ = own_form_ || BeginsWithEximId(own);
      if (own_form_ || !TakeForeignHead(before, line, times)) {
        last_stamp_ = *time;
        stamps_.set_previous(*time);
        *line = own;
      }
      return Head::kExim;
    }
    const std::optional<SyslogPrefix> prefix = TakeSyslogPrefix(&stamps_, line);
    if (!prefix) return IsNoEntry(*line) ? Head::kNotMine : Head::kMalformed;
    last_stamp_ = prefix->time;
    return TakeBehind(*prefix, line, times) ? Head::kExim : Head::kNotMine;
  }

  // A prefix of syslog or a container whose stamp has Exim's format. False: there is none, and
  // nothing was removed.
  bool TakeForeignHead(absl::Time previous, absl::string_view* line, int64_t* times) {
    stamps_.set_previous(previous);
    absl::string_view text = *line;
    const std::optional<SyslogPrefix> prefix = TakeSyslogPrefix(&stamps_, &text);
    if (!prefix) return false;
    last_stamp_ = prefix->time;
    if (absl::StartsWith(prefix->tag, "exim")) {
      if (!TakeBehind(*prefix, &text, times)) return false;
    } else {
      absl::string_view entry = text;
      SkipPid(&entry);
      if (!prefix->tag.empty() || !BeginsWithEximId(entry)) return false;
      text = entry;
    }
    *line = text;
    return true;
  }

  // The text after a prefix. False: not Exim's, or a later piece of a split record.
  bool TakeBehind(const SyslogPrefix& prefix, absl::string_view* text, int64_t* times) {
    if (!absl::StartsWith(prefix.tag, "exim") && !IsLogRelay(prefix.tag)) return false;
    *times = TakeRepeated(text);
    const int piece = TakePiece(text);
    const std::optional<absl::Time> own = stamps_.TakeExim(text);
    // Containers pass on Exim's lines only, which begin with its stamp.
    if (!own && !prefix.tag.empty() && !absl::StartsWith(prefix.tag, "exim")) return false;
    if (own) last_stamp_ = *own;
    SkipPid(text);
    return piece <= 1;
  }

  void ReadText(absl::string_view text, EventBatch* batch) {
    const EximLine line = ParseEximLine(text);
    switch (line.kind) {
      case EximLineKind::kMalformed:
        ++batch->counts.malformed;
        return;
      case EximLineKind::kRejected:
        ++batch->counts.rejected;
        if (tell_all_ || line.refused == "RCPT") ShowRejected(line, batch);
        return;
      case EximLineKind::kDelivered:
      case EximLineKind::kDeferred:
      case EximLineKind::kFailed:
        if (!IsAttempt(line)) break;
        ++batch->counts.attempts;
        AddAttempt(line, absl::StartsWith(text.substr(line.id.size()), " >>"), batch);
        return;
      case EximLineKind::kArrival:
        Arrive(line, batch);
        if (!line.doubtful) break;
        ++batch->counts.malformed;  // still a message; counted because its login is unknown
        return;
      case EximLineKind::kCompleted:
        Complete(line.id, batch);
        break;
      case EximLineKind::kIdentification:
        Identify(line, batch);
        break;
      case EximLineKind::kFrozen:
        if (tell_all_) ShowText(line, Outcome::kHeld, batch);
        break;
      case EximLineKind::kDiscarded:
        if (tell_all_) ShowText(line, Outcome::kDiscarded, batch);
        break;
      case EximLineKind::kClaimed:
        if (tell_all_) KeepClaim(line, batch);
        break;
      case EximLineKind::kSuppressed:
      case EximLineKind::kOther:
        break;
    }
    ++batch->counts.not_mine;
  }

  void AddAttempt(const EximLine& line, bool cutthrough, EventBatch* batch) {
    const ArrivedMessage* message = messages_.Find(line.id);
    if (message == nullptr && cutthrough) {
      // Logged before the arrival, because the arrival line waits for the other server's reply.
      if (early_.size() == kMaxEarly) DropEarliest(batch);
      Fill(line, last_stamp_, &early_.emplace_back());
      return;
    }
    Attempt* attempt = AddEvent(batch);
    Fill(line, last_stamp_, attempt);
    Attribute(message, attempt);
    // The arrival is in an older file. The delivery line proves only the envelope sender.
    if (message == nullptr) Assign(line.sender, &attempt->identity.sender);
    hand_overs_.Apply(line.id, attempt->recipient, attempt->original, &attempt->identity);
    FollowHandOver(line, batch);
  }

  bool Trusts(absl::string_view ip) const {
    return IsLoopbackHost(ip) || own_hosts_.ContainsAddress(ip);
  }

  void FollowHandOver(const EximLine& line, EventBatch* batch) {
    const bool to_own = !line.host_ip.empty() && IsOwn(line.host_ip);
    // Without a host, it may be the transport to a filter that is down.
    const bool elsewhere = line.host_ip.empty() ? line.transport.empty() : !to_own;
    if (line.kind == EximLineKind::kDeferred && elsewhere) hand_overs_.DeferredElsewhere(line.id);
    if (line.kind != EximLineKind::kDelivered || !to_own) return;
    hand_overs_.GivenTo(line.id, line.host_ip, relay_hosts_.ContainsAddress(line.host_ip));
    const absl::string_view new_id = QueuedAs(line.text);
    const ArrivedMessage* first = new_id.empty() ? nullptr : messages_.Find(line.id);
    ArrivedMessage* next = first == nullptr ? nullptr : messages_.Find(new_id);
    if (next == nullptr || new_id == line.id || !Trusts(line.host_ip) ||
        next->origin != ArrivedMessage::Origin::kOwnHost) {
      return;
    }
    hand_overs_.Proven(line.id, new_id);
    next->handed_over = true;
    const Identity& who = first->identity;
    Identity& identity = next->identity;
    if (identity.login == who.login && identity.user == who.user && identity.host == who.host &&
        identity.identified_domain == who.identified_domain &&
        identity.made_by_mta == who.made_by_mta) {
      return;
    }
    identity.login = who.login;
    identity.user = who.user;
    identity.host = who.host;
    identity.identified_domain = who.identified_domain;
    identity.made_by_mta = who.made_by_mta;
    hand_overs_.Identify(new_id, identity);
    if (!tell_all_) return;
    AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, new_id, next, batch)
        ->attempt.handed_over = true;
  }

  static Attempt* AddEvent(EventBatch* batch) {
    LogEvent* event = batch->Add();
    event->kind = LogEvent::Kind::kAttempt;
    return &event->attempt;
  }

  // A waiting claim belongs to a queued message; waiting attempts never do.
  static bool IsClaim(const Attempt& early) { return early.outcome == Outcome::kQueued; }

  void DropEarliest(EventBatch* batch) {
    if (!IsClaim(early_.front())) *AddEvent(batch) = std::move(early_.front());
    early_.pop_front();
  }

  void KeepClaim(const EximLine& line, EventBatch* batch) {
    if (line.text.size() > kMaxClaim) return;
    // Waiting entries whose message never arrived because Exim was stopped.
    while (!early_.empty() && IsClaim(early_.front()) &&
           early_.front().time < last_stamp_ - kClaimWaits) {
      early_.pop_front();
    }
    if (early_.size() == kMaxEarly) DropEarliest(batch);
    Attempt& claim = early_.emplace_back();
    claim.time = last_stamp_;
    Assign(line.id, &claim.message.id);
    claim.outcome = Outcome::kQueued;
    Assign(line.text, &claim.reply);
  }

  // The claims of the program that submits this message; empty if there are none.
  std::string TakeClaim(absl::string_view id) {
    for (auto it = early_.begin(); it != early_.end(); ++it) {
      if (!IsClaim(*it) || it->message.id != id) continue;
      std::string text = std::move(it->reply);
      early_.erase(it);
      return text;
    }
    return "";
  }

  void Arrive(const EximLine& line, EventBatch* batch) {
    ArrivedMessage* message = messages_.Open(line.id, tell_all_ ? &forgotten_ : nullptr);
    AddForgotten(line.id, last_stamp_, &forgotten_, batch);
    message->arrival = last_stamp_;
    message->handed_over = false;
    Identity& identity = message->identity;
    Assign(line.sender, &identity.sender);
    Assign(line.login, &identity.login);
    Assign(line.user, &identity.user);
    Assign(line.host_ip, &identity.host);
    identity.identified_domain.clear();
    identity.made_by_mta = line.sender.empty() && line.local_submission && !line.bounce_of.empty();
    identity.sender_vouched = false;
    message->origin = OriginOf(line);
    if (!identity.made_by_mta && !line.doubtful) {
      const bool own_mail = IsOwnMail(identity, line.message_id);
      identity.made_by_mta = own_mail;
      hand_overs_.Arrive(line.id, line.message_id, /*recipients=*/0,
                         message->origin == ArrivedMessage::Origin::kOwnHost, last_stamp_,
                         &identity);
      identity.made_by_mta |= own_mail;  // whatever it looks like a copy of
    }
    if (tell_all_) {
      Attempt* arrived =
          &AddMessageEvent(LogEvent::Kind::kArrived, last_stamp_, line.id, message, batch)->attempt;
      hand_overs_.Apply(line.id, &arrived->identity);
      AssignUnescaped(line.subject, &arrived->mail_subject);
      arrived->recipients = line.recipients;
      arrived->handed_over = hand_overs_.IsCopy(line.id);
      if (!early_.empty()) arrived->reply = TakeClaim(line.id);
    }
    if (!early_.empty()) ReleaseEarly(line.id, message, batch);
  }

  // A host of ours, or a trusted user's program with a protocol of its own, may pass on somebody
  // else's mail.
  ArrivedMessage::Origin OriginOf(const EximLine& line) const {
    if (!line.login.empty() || line.doubtful) return ArrivedMessage::Origin::kClient;
    const bool own = line.host_ip.empty() ? !line.local_submission
                                          : IsThisHost(line.host_ip) || IsOwn(line.host_ip);
    return own ? ArrivedMessage::Origin::kOwnHost : ArrivedMessage::Origin::kClient;
  }

  void Identify(const EximLine& line, EventBatch* batch) {
    ArrivedMessage* message = messages_.Find(line.id);
    if (message == nullptr || line.identified_domain.empty() ||
        line.identified_domain.front() == '-' ||
        line.identified_domain == message->identity.identified_domain) {
      return;
    }
    Assign(line.identified_domain, &message->identity.identified_domain);
    hand_overs_.Identify(line.id, message->identity);
    if (tell_all_)
      AddMessageEvent(LogEvent::Kind::kIdentified, last_stamp_, line.id, message, batch);
  }

  void ShowText(const EximLine& line, Outcome outcome, EventBatch* batch) {
    Attempt* shown = &AddMessageEvent(LogEvent::Kind::kShown, last_stamp_, line.id,
                                      messages_.Find(line.id), batch)
                          ->attempt;
    shown->outcome = outcome;
    Assign(line.text, &shown->reply);
  }

  // The client chose the sender; login and host address are Exim's own data.
  void ShowRejected(const EximLine& line, EventBatch* batch) {
    const ArrivedMessage* message = messages_.Find(line.id);
    if (std::string claim = line.id.empty() ? "" : TakeClaim(line.id);
        tell_all_ && !claim.empty()) {
      Attempt* claimed =
          &AddMessageEvent(LogEvent::Kind::kShown, last_stamp_, line.id, message, batch)->attempt;
      claimed->outcome = Outcome::kRejected;
      claimed->reply = std::move(claim);
    }
    Attempt* shown =
        &AddMessageEvent(LogEvent::Kind::kShown, last_stamp_, line.id, message, batch)->attempt;
    if (message == nullptr) {
      Assign(line.sender, &shown->identity.sender);
      Assign(line.login, &shown->identity.login);
      Assign(line.user, &shown->identity.user);
      Assign(line.host_ip, &shown->identity.host);
      shown->identity.unclear =
          line.login.empty() && !line.host_ip.empty() && hand_overs_.IsFilter(line.host_ip);
    }
    shown->outcome = line.refused == "RCPT" && !line.temporary && !line.doubtful
                         ? Outcome::kRejectedRecipient
                         : Outcome::kRejected;
    Assign(line.recipient, &shown->recipient);
    Assign(line.host, &shown->host);
    Assign(line.host_ip, &shown->host_ip);
    Assign(line.text, &shown->reply);
  }

  void Complete(absl::string_view id, EventBatch* batch) {
    const ArrivedMessage* message = messages_.Find(id);
    if (!early_.empty()) ReleaseEarly(id, message, batch);
    if (tell_all_) {
      AddMessageEvent(LogEvent::Kind::kCompleted, last_stamp_, id, message, batch);
    } else {
      LogEvent* event = batch->Add();
      event->kind = LogEvent::Kind::kCompleted;
      event->attempt.time = last_stamp_;
      Assign(id, &event->attempt.message.id);
      event->attempt.message.arrival = message == nullptr ? absl::InfinitePast() : message->arrival;
    }
    hand_overs_.End(id, last_stamp_);
    messages_.Close(id);
  }

  void ReleaseEarly(absl::string_view id, const ArrivedMessage* message, EventBatch* batch) {
    for (auto it = early_.begin(); it != early_.end();) {
      if (it->message.id != id) {
        ++it;
        continue;
      }
      if (!IsClaim(*it)) {
        Attribute(message, &*it);
        hand_overs_.Apply(id, it->recipient, it->original, &it->identity);
        *AddEvent(batch) = std::move(*it);
      }
      it = early_.erase(it);
    }
  }

  std::deque<Attempt> early_;
  bool own_form_ = false;  // an entry was seen right after a stamp in Exim's format
};

}  // namespace

std::unique_ptr<LogReader> NewEximReader(const EximReaderOptions& options) {
  return std::make_unique<EximReader>(options);
}

}  // namespace deferd
