#include "limiter/intake/joining_reader.h"

#include <algorithm>
#include <utility>

#include "policy/on_this_host.h"

namespace deferd {

void JoiningReader::SkipLine(EventBatch* batch) {
  ++batch->counts.lines;
  ++batch->counts.malformed;
}

bool JoiningReader::IsOwn(absl::string_view ip) const {
  return IsLoopbackHost(ip) || own_hosts_.ContainsAddress(ip) || relay_hosts_.ContainsAddress(ip);
}

bool JoiningReader::IsOwnMail(const Identity& identity, absl::string_view message_id) const {
  return own_mail_ != nullptr && identity.sender.empty() && identity.login.empty() &&
         identity.user.empty() && IsLoopbackHost(identity.host) &&
         own_mail_(message_id, last_stamp_);
}

ReaderState JoiningReader::CommonState() const {
  return {.stamps = stamps_.state(),
          .last_stamp = last_stamp_,
          .unwrapper = unwrapper_.SaveState(),
          .hand_overs = hand_overs_.SaveState()};
}

absl::Status JoiningReader::Restore(std::vector<OpenMessage> open, absl::string_view state) {
  ReaderState decoded;
  std::deque<Attempt> early;
  absl::Status status = DecodeReaderState(state, &decoded, &early);
  if (status.ok()) status = hand_overs_.Restore(decoded.hand_overs);
  if (!status.ok()) return status;
  stamps_.Restore(decoded.stamps);
  last_stamp_ = decoded.last_stamp;
  unwrapper_.Restore(decoded.unwrapper);
  RestoreOwn(decoded, std::move(early));
  std::stable_sort(open.begin(), open.end(), [](const OpenMessage& a, const OpenMessage& b) {
    return a.key.arrival < b.key.arrival;
  });
  for (OpenMessage& message : open) {
    message.identity.unclear = false;  // hand_overs_ knows
    ArrivedMessage* slot = messages_.Open(message.key.id);
    *slot = {message.key.arrival, std::move(message.identity), std::move(message.deferred)};
    Resume(slot);
  }
  return absl::OkStatus();
}

}  // namespace deferd
