// Functions with which the readers of all MTAs fill a batch.

#ifndef DEFERD_LIMITER_INTAKE_READER_EVENTS_H_
#define DEFERD_LIMITER_INTAKE_READER_EVENTS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/open_messages.h"
#include "policy/attempt.h"

namespace deferd {

void Assign(absl::string_view from, std::string* to);

// Sets arrival and identity of the attempt; both empty if `message` is null.
void Attribute(const ArrivedMessage* message, Attempt* attempt);

// Adds an event with nothing but kind and time.
LogEvent* AddBlank(LogEvent::Kind kind, absl::Time time, EventBatch* batch);

// Adds an event about a message.
LogEvent* AddMessageEvent(LogEvent::Kind kind, absl::Time time, absl::string_view id,
                          const ArrivedMessage* message, EventBatch* batch);

// Adds an event for the message that was forgotten to make room for `id`, unless there is none or
// it has the same id; clears `*forgotten`.
void AddForgotten(absl::string_view id, absl::Time now, MessageKey* forgotten, EventBatch* batch);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READER_EVENTS_H_
