#include "limiter/incidents.h"

#include <algorithm>

#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxReply = 300;

void DropBefore(absl::Time time, Place* place) {
  auto old = [&](const auto& one) { return one.second <= time; };
  place->failing.erase(std::remove_if(place->failing.begin(), place->failing.end(), old),
                       place->failing.end());
}

bool IsOurs(ReplyScope scope) { return scope == ReplyScope::kIp || scope == ReplyScope::kServer; }

}  // namespace

bool Incidents::Concerns(const Classification& answer) {
  if (answer.reply_class == ReplyClass::kLocal) return false;
  if (IsOurs(answer.scope)) return true;
  switch (answer.reply_class) {
    case ReplyClass::kGreylisting:  // it greets every newcomer so
    case ReplyClass::kMailboxFull:
    case ReplyClass::kInvalidRecipient:
    case ReplyClass::kMailboxDisabled:
      return false;
    case ReplyClass::kRateLimited:
    case ReplyClass::kPolicy:
      return true;
    default:
      return answer.scope == ReplyScope::kDestination;
  }
}

bool Incidents::OpenAt(const Key& key) const {
  auto place = places_.find(key);
  return place != places_.end() && place->second.incident.has_value();
}

Place& Incidents::PlaceOf(const Key& key) {
  auto found = places_.find(key);
  if (found != places_.end()) return found->second;
  if (places_.size() >= kMaxPlaces) ForgetOldest();
  return places_[key];
}

// A tenth at once, so that the scan is paid rarely.
void Incidents::ForgetOldest() {
  std::vector<absl::Time> last;
  last.reserve(places_.size());
  for (const auto& [key, place] : places_) last.push_back(place.last);
  auto cut = last.begin() + static_cast<ptrdiff_t>(last.size() / 10);
  std::nth_element(last.begin(), cut, last.end());
  for (auto it = places_.begin(); it != places_.end();) {
    if (it->second.last > *cut) {
      ++it;
      continue;
    }
    if (it->second.incident.has_value()) End(&it->second, it->second.last);
    SetChanged(it->first);
    it = places_.erase(it);
  }
}

std::optional<Incident> Incidents::SeeFailure(const Key& key, const Classification& answer,
                                              absl::string_view reply, const Subject& subject,
                                              absl::Time time, absl::Duration window) {
  Place& place = PlaceOf(key);
  SetChanged(key);
  place.last = std::max(place.last, time);
  place.recovered = 0;
  oldest_last_ = std::min(oldest_last_, place.last);
  const bool was_open = place.incident.has_value();
  if (!was_open) {
    DropBefore(time - window, &place);
    auto known = std::find_if(place.failing.begin(), place.failing.end(),
                              [&](const auto& one) { return one.first == subject; });
    if (known != place.failing.end()) {
      known->second = std::max(known->second, time);
    } else {
      place.failing.emplace_back(subject, time);
    }
    if (place.failing.size() < (IsOurs(key.first) ? 1 : kMany)) return std::nullopt;
    Incident& incident = place.incident.emplace();
    incident.scope = key.first;
    incident.where = key.second;
    incident.since = time;
    for (const auto& [failing, when] : place.failing) {
      incident.since = std::min(incident.since, when);
      incident.subjects.insert(failing.ToString());
    }
    incident.attempts = static_cast<int64_t>(place.failing.size()) - 1;
    place.failing.clear();
  }
  Incident& incident = *place.incident;
  incident.reply_class = answer.reply_class;
  incident.reply = std::string(CutUtf8(reply, kMaxReply));
  incident.last = place.last;
  ++incident.attempts;
  if (incident.subjects.size() < kMaxSubjects) incident.subjects.insert(subject.ToString());
  return was_open ? std::nullopt : place.incident;
}

std::optional<Incident> Incidents::SeeDelivery(const std::string& where, absl::Time time) {
  auto found = places_.find(Key(ReplyScope::kDestination, where));
  if (found == places_.end()) return std::nullopt;
  Place& place = found->second;
  std::optional<Incident> ended;
  if (place.incident.has_value()) {
    SetChanged(found->first);
    if (++place.recovered < kRecovered) return std::nullopt;
    ended = End(&place, time);
  }
  SetChanged(found->first);
  places_.erase(found);
  return ended;
}

Incident Incidents::End(Place* place, absl::Time time) {
  Incident ended = *std::move(place->incident);
  place->incident.reset();
  ended.ended = std::max(time, ended.last);
  ended_.push_front(ended);
  if (ended_.size() > kMaxEnded) ended_.pop_back();
  return ended;
}

void Incidents::Add(const Key& key, PlaceContribution contribution) {
  auto place = places_.find(key);
  if (place == places_.end() || place->second.incident.has_value()) return;
  place->second.contributions.push_back(std::move(contribution));
  if (place->second.contributions.size() > kMaxContributions) {
    place->second.contributions.pop_front();
  }
  SetChanged(key);
}

void Incidents::Remove(const Key& key, const MessageKey& message, const std::string& recipient) {
  auto place = places_.find(key);
  if (place == places_.end()) return;
  auto& all = place->second.contributions;
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const PlaceContribution& one) {
                             return one.message == message && one.recipient == recipient;
                           }),
            all.end());
  SetChanged(key);
}

std::deque<PlaceContribution> Incidents::TakeContributions(const Key& key) {
  auto place = places_.find(key);
  if (place == places_.end()) return {};
  SetChanged(key);
  return std::exchange(place->second.contributions, {});
}

std::vector<Incident> Incidents::Expire(absl::Time now, absl::Duration window) {
  std::vector<Incident> ended;
  oldest_last_ = absl::InfiniteFuture();
  for (auto it = places_.begin(); it != places_.end();) {
    Place& place = it->second;
    if (place.last + window > now) {
      oldest_last_ = std::min(oldest_last_, place.last);
      ++it;
      continue;
    }
    if (place.incident.has_value()) ended.push_back(End(&place, place.last + window));
    SetChanged(it->first);
    it = places_.erase(it);
  }
  return ended;
}

std::vector<Incident> Incidents::All() const {
  std::vector<Incident> all;
  for (const auto& [key, place] : places_) {
    if (place.incident.has_value()) all.push_back(*place.incident);
  }
  std::sort(all.begin(), all.end(),
            [](const Incident& a, const Incident& b) { return a.since > b.since; });
  all.insert(all.end(), ended_.begin(), ended_.end());
  return all;
}

std::vector<std::pair<Incidents::Key, const Place*>> Incidents::TakeChanged() {
  std::vector<std::pair<Key, const Place*>> changed;
  for (const Key& key : changed_) {
    auto place = places_.find(key);
    changed.emplace_back(key, place == places_.end() ? nullptr : &place->second);
  }
  changed_.clear();
  return changed;
}

void Incidents::Restore(const Key& key, Place place) {
  oldest_last_ = std::min(oldest_last_, place.last);
  places_[key] = std::move(place);
}

}  // namespace deferd
