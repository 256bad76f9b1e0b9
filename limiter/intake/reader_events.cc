#include "limiter/intake/reader_events.h"

namespace deferd {

void Assign(absl::string_view from, std::string* to) { to->assign(from.data(), from.size()); }

void Attribute(const ArrivedMessage* message, Attempt* attempt) {
  if (message != nullptr) {
    attempt->message.arrival = message->arrival;
    attempt->identity = message->identity;
  } else {
    attempt->message.arrival = absl::InfinitePast();
    attempt->identity = Identity{};
  }
}

LogEvent* AddBlank(LogEvent::Kind kind, absl::Time time, EventBatch* batch) {
  LogEvent* event = batch->Add();
  event->kind = kind;
  Attempt& attempt = event->attempt;
  attempt.time = time;
  for (std::string* text : {&attempt.message.id, &attempt.recipient, &attempt.original,
                            &attempt.router, &attempt.transport, &attempt.host, &attempt.host_ip,
                            &attempt.reply, &attempt.mail_subject}) {
    text->clear();
  }
  Attribute(nullptr, &attempt);
  attempt.outcome = Outcome::kDelivered;
  attempt.port = 0;
  attempt.remote = false;
  attempt.bare_expiry = false;
  return event;
}

LogEvent* AddMessageEvent(LogEvent::Kind kind, absl::Time time, absl::string_view id,
                          const ArrivedMessage* message, EventBatch* batch) {
  LogEvent* event = AddBlank(kind, time, batch);
  Assign(id, &event->attempt.message.id);
  Attribute(message, &event->attempt);
  return event;
}

void AddForgotten(absl::string_view id, absl::Time now, MessageKey* forgotten, EventBatch* batch) {
  if (forgotten->id.empty()) return;
  const MessageKey again = {std::string(id), now};
  if (!(*forgotten == again)) {
    AddBlank(LogEvent::Kind::kForgotten, now, batch)->attempt.message = *forgotten;
  }
  forgotten->id.clear();
}

}  // namespace deferd
