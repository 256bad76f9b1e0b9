// What the readers of all MTAs do alike with the slots of a batch.

#ifndef DEFERD_LIMITER_INTAKE_READER_EVENTS_H_
#define DEFERD_LIMITER_INTAKE_READER_EVENTS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/open_messages.h"
#include "policy/attempt.h"

namespace deferd {

void Assign(absl::string_view from, std::string* to);

// Whose it is: arrival and identity, both empty if `message` is null.
void Attribute(const ArrivedMessage* message, Attempt* attempt);

// An event that says nothing yet but its time.
LogEvent* AddBlank(LogEvent::Kind kind, absl::Time time, EventBatch* batch);

// That of a message, which may be open.
LogEvent* TellOf(LogEvent::Kind kind, absl::Time time, absl::string_view id,
                 const ArrivedMessage* message, EventBatch* batch);

// The message that had to make room for the arrival of `id` now, unless it is the same one or there
// is none; clears it.
void TellForgotten(absl::string_view id, absl::Time now, MessageKey* forgotten, EventBatch* batch);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READER_EVENTS_H_
