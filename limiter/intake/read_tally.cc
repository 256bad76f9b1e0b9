#include "limiter/intake/read_tally.h"

#include "absl/strings/match.h"

namespace deferd {

namespace {

// The recipient follows the arrow.
bool HasArrow(absl::string_view line) {
  for (absl::string_view arrow : {" => ", " == ", " ** ", " -> ", " >> "}) {
    const size_t at = line.find(arrow);
    if (at != line.npos && line.find('@', at) != line.npos) {
      return !absl::StrContains(line, "retry time not reached") &&
             !absl::StrContains(line, "defer (-5");
    }
  }
  return false;
}

}  // namespace

bool LooksLikeDelivery(absl::string_view line) {
  for (absl::string_view word :
       {"status=sent", "status=deferred", "status=bounced", "stat=Sent", "stat=Deferred"}) {
    if (absl::StrContains(line, word)) return absl::StrContains(line, "to=");
  }
  return HasArrow(line);
}

void ReadTally::Read(LogReader* reader, absl::string_view line, EventBatch* batch) {
  const LineCounts before = batch->counts;
  const size_t events = batch->size();
  reader->ReadLine(line, batch);
  ++counts_.lines;
  const int64_t attempts = batch->counts.attempts - before.attempts;
  counts_.attempts += attempts;
  counts_.malformed += batch->counts.malformed - before.malformed;
  const bool understood =
      attempts > 0 || batch->size() > events || batch->counts.rejected > before.rejected;
  if (!understood && LooksLikeDelivery(line)) ++counts_.missed;
  for (size_t i = events; i < batch->size(); ++i) {
    const LogEvent& event = (*batch)[i];
    const Identity& who = event.attempt.identity;
    if (event.kind != LogEvent::Kind::kArrived || event.attempt.time < start_ || who.made_by_mta) {
      continue;
    }
    if (!who.login.empty()) {
      ++counts_.accepted_login;
    } else if (who.host.empty()) {
      ++counts_.accepted_local;
    } else {
      ++counts_.accepted_host;
    }
  }
}

void ReadTally::Skip(LogReader* reader, EventBatch* batch) {
  reader->SkipLine(batch);
  ++counts_.lines;
  ++counts_.malformed;
}

}  // namespace deferd
