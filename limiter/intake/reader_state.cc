#include "limiter/intake/reader_state.h"

#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "nlohmann/json.hpp"

namespace deferd {
namespace {

using Json = nlohmann::json;

constexpr int64_t kPast = std::numeric_limits<int64_t>::min();

// Nanoseconds cover the years 1678 to 2262; stamps beyond are dropped.
int64_t FromTime(absl::Time time) {
  const int64_t nanos = absl::ToUnixNanos(time);
  return nanos == std::numeric_limits<int64_t>::max() ? kPast : nanos;
}
absl::Time ToTime(int64_t nanos) {
  return nanos == kPast ? absl::InfinitePast() : absl::FromUnixNanos(nanos);
}

std::array<std::string*, 8> Texts(Attempt* attempt) {
  return {&attempt->message.id, &attempt->recipient, &attempt->original, &attempt->router,
          &attempt->transport,  &attempt->host,      &attempt->host_ip,  &attempt->reply};
}

bool TakeText(const Json& json, std::string* text) {
  const auto* escaped = json.get_ptr<const Json::string_t*>();
  return escaped != nullptr && absl::CUnescape(*escaped, text);
}

bool TakeTime(const Json& json, absl::Time* time) {
  if (!json.is_number_integer()) return false;
  *time = ToTime(json.get<int64_t>());
  return true;
}

bool TakeAttempt(const Json& json, Attempt* attempt) {
  const auto texts = Texts(attempt);
  if (!json.is_array() || json.size() != texts.size() + 4) return false;
  size_t at = 0;
  for (std::string* text : texts) {
    if (!TakeText(json[at++], text)) return false;
  }
  if (!TakeTime(json[at], &attempt->time) || !json[at + 1].is_number_unsigned() ||
      !json[at + 2].is_boolean() || !json[at + 3].is_boolean()) {
    return false;
  }
  const auto outcome = json[at + 1].get<uint64_t>();
  if (outcome > static_cast<uint64_t>(kOutcomes - 1)) return false;
  attempt->outcome = static_cast<Outcome>(outcome);
  attempt->remote = json[at + 2].get<bool>();
  attempt->bare_expiry = json[at + 3].get<bool>();
  return true;
}

// Elements 6 to 9.
bool TakeLater(const Json& json, ReaderState* state) {
  if (!TakeText(json[6], &state->unwrapper) || !json[7].is_boolean() || !json[8].is_array()) {
    return false;
  }
  state->own_form = json[7].get<bool>();
  for (const Json& fields : json[8]) {
    ProxySession& session = state->sessions.emplace_back();
    if (!fields.is_array() || fields.size() < 3 || !TakeText(fields[0], &session.process) ||
        !TakeText(fields[1], &session.client_ip) || !TakeText(fields[2], &session.login)) {
      return false;
    }
    // Missing in states of older versions.
    if (fields.size() >= 6 && (!TakeTime(fields[3], &session.since) || !fields[4].is_boolean() ||
                               !TakeText(fields[5], &session.doubtful))) {
      return false;
    }
    session.answered = fields.size() < 6 || fields[4].get<bool>();
  }
  return json.size() < 10 || TakeText(json[9], &state->hand_overs);
}

}  // namespace

std::string EncodeReaderState(const ReaderState& state, const std::deque<Attempt>& early) {
  Json waiting = Json::array();
  for (Attempt attempt : early) {
    Json fields = Json::array();
    for (std::string* text : Texts(&attempt)) fields.push_back(absl::CEscape(*text));
    fields.push_back(FromTime(attempt.time));
    fields.push_back(static_cast<uint64_t>(attempt.outcome));
    fields.push_back(attempt.remote);
    fields.push_back(attempt.bare_expiry);
    waiting.push_back(std::move(fields));
  }
  Json sessions = Json::array();
  for (const ProxySession& session : state.sessions) {
    sessions.push_back(
        Json::array({absl::CEscape(session.process), absl::CEscape(session.client_ip),
                     absl::CEscape(session.login), FromTime(session.since), session.answered,
                     absl::CEscape(session.doubtful)}));
  }
  return Json::array({1, FromTime(state.last_stamp), FromTime(state.stamps.previous),
                      absl::CEscape(state.stamps.exim_minute), FromTime(state.stamps.exim_start),
                      std::move(waiting), absl::CEscape(state.unwrapper), state.own_form,
                      std::move(sessions), absl::CEscape(state.hand_overs)})
      .dump();
}

absl::Status DecodeReaderState(absl::string_view text, ReaderState* state,
                               std::deque<Attempt>* early) {
  ReaderState decoded;
  std::deque<Attempt> waiting;
  if (!text.empty()) {
    const absl::Status damaged = absl::DataLossError("not a log reader's state");
    const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_array() || json.size() < 6 || json[0] != 1 || !json[5].is_array()) return damaged;
    if (!TakeTime(json[1], &decoded.last_stamp) || !TakeTime(json[2], &decoded.stamps.previous) ||
        !TakeText(json[3], &decoded.stamps.exim_minute) ||
        !TakeTime(json[4], &decoded.stamps.exim_start)) {
      return damaged;
    }
    for (const Json& fields : json[5]) {
      if (!TakeAttempt(fields, &waiting.emplace_back())) return damaged;
    }
    // Missing in states of older versions.
    if (json.size() >= 9 && !TakeLater(json, &decoded)) return damaged;
  }
  *state = std::move(decoded);
  *early = std::move(waiting);
  return absl::OkStatus();
}

}  // namespace deferd
