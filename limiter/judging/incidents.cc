#include "limiter/judging/incidents.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxReply = 300;

void DropBefore(absl::Time time, Place* place) {
  auto old = [&](const Witness& one) { return one.time <= time; };
  place->failing.erase(std::remove_if(place->failing.begin(), place->failing.end(), old),
                       place->failing.end());
}

bool OpensByItself(const Incidents::Key& key) {
  return (key.first == ReplyScope::kIp || key.first == ReplyScope::kServer) &&
         key.second != Incident::kResolver;
}

// One that is another's equal in one thing alone is no witness of its own.
void AddWitness(Witness witness, std::vector<Witness>* all) {
  for (Witness& one : *all) {
    const bool same_subject = one.subject == witness.subject;
    const bool same_identity = one.identity == witness.identity;
    if (!same_subject && !same_identity) continue;
    one.time = std::max(one.time, witness.time);
    if (same_subject && same_identity) one.known = one.known || witness.known;
    return;
  }
  if (all->size() < Incidents::kMaxWitnesses) all->push_back(std::move(witness));
}

bool Enough(const Incidents::Key& key, const std::vector<Witness>& failing) {
  if (OpensByItself(key)) return true;
  if (failing.size() < Incidents::kMany) return false;
  if (key.first != ReplyScope::kSenderDomain) return true;
  const auto known =
      std::count_if(failing.begin(), failing.end(), [](const Witness& one) { return one.known; });
  return known >= static_cast<ptrdiff_t>(Incidents::kKnown);
}

void AppendSubject(const Subject& subject, std::string* name) {
  absl::StrAppend(name, SubjectKindName(subject.kind), ":", subject.id);
}

std::string SenderName(const Subject& subject, std::string name = "") {
  name = "by ";
  AppendSubject(subject, &name);
  return name;
}

std::string PlaceName(absl::string_view where, const Subject& subject, std::string name = "") {
  name.clear();
  absl::StrAppend(&name, "at ", where, " by ");
  AppendSubject(subject, &name);
  return name;
}

std::string RecipientName(absl::string_view domain, std::string name = "") {
  name = "for ";
  for (const char c : domain) {
    name.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  }
  return name;
}

}  // namespace

std::optional<ReplyScope> Incidents::About(const Classification& answer) {
  if (answer.reply_class == ReplyClass::kLocal) return std::nullopt;
  if (answer.scope == ReplyScope::kIp || answer.scope == ReplyScope::kServer) return answer.scope;
  switch (answer.reply_class) {
    case ReplyClass::kGreylisting:  // it greets every newcomer so
    case ReplyClass::kMailboxFull:
    case ReplyClass::kInvalidRecipient:
    case ReplyClass::kMailboxDisabled:
      return std::nullopt;
    case ReplyClass::kDnsRouting:
    case ReplyClass::kTls:
    case ReplyClass::kNetwork:
    case ReplyClass::kServerResources:
      return answer.scope == ReplyScope::kDestination ? ReplyScope::kDestination
                                                      : ReplyScope::kSenderDomain;
    default:
      return ReplyScope::kSenderDomain;
  }
}

bool Incidents::TookOut(const Incident& incident, const Classification& answer,
                        absl::string_view organisation, absl::Time time) {
  if (time < incident.taken_out_from || time > incident.taken_out_at) return false;
  if (incident.where == Incident::kResolver) {
    return organisation.empty() && answer.reply_class == ReplyClass::kDnsRouting;
  }
  return organisation == incident.where && About(answer) == incident.scope;
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
    ++evicted_;
    it = places_.erase(it);
  }
}

std::optional<Incident> Incidents::SeeFailure(const Key& key, const Classification& answer,
                                              absl::string_view reply, const Subject& subject,
                                              std::optional<Witness> witness, absl::Time time,
                                              absl::Duration window) {
  Place& place = PlaceOf(key);
  SetChanged(key);
  place.last = std::max(place.last, time);
  place.recovered = 0;
  oldest_last_ = std::min(oldest_last_, place.last);
  const bool was_open = place.incident.has_value();
  if (!was_open) {
    DropBefore(time - window, &place);
    if (witness.has_value()) AddWitness(*std::move(witness), &place.failing);
    if (!Enough(key, place.failing)) return std::nullopt;
    Incident& incident = place.incident.emplace();
    incident.scope = key.first;
    incident.where = key.second;
    incident.since = time;
    for (const Witness& one : place.failing) {
      incident.since = std::min(incident.since, one.time);
      if (Hits(key, one.subject, time)) incident.subjects.insert(one.subject.ToString());
      incident.witnesses.push_back(absl::StrCat(one.subject.ToString(), " by ", one.identity));
    }
    // Without this one, which is added below.
    const size_t before =
        std::max(place.failing.empty() ? 0 : place.failing.size() - 1, place.contributions.size());
    incident.attempts = static_cast<int64_t>(before);
    place.failing.clear();
  }
  Incident& incident = *place.incident;
  incident.reply_class = answer.reply_class;
  incident.reply = std::string(CutUtf8(reply, kMaxReply));
  incident.last = place.last;
  if (!Hits(key, subject, time)) return was_open ? std::nullopt : place.incident;
  ++incident.attempts;
  if (incident.subjects.size() < kMaxSubjects) incident.subjects.insert(subject.ToString());
  return was_open ? std::nullopt : place.incident;
}

bool Incidents::Hits(const Key& key, const Subject& subject, absl::Time time) const {
  return key.first != ReplyScope::kSenderDomain || DeliveredAt(key.second, subject, time);
}

void Incidents::Remember(absl::string_view name, absl::Time time) {
  std::vector<std::string> gone;
  if (deliveries_.See(name, time, &gone)) SetChanged({ReplyScope::kRecipient, std::string(name)});
  evicted_ += static_cast<int64_t>(gone.size());
  for (std::string& one : gone) SetChanged({ReplyScope::kRecipient, std::move(one)});
  // Nobody has stored anything for long: what is forgotten by now may be found there later, and
  // is out of date then.
  if (changed_.size() <= kMaxChanged) return;
  absl::erase_if(changed_, [this](const Key& key) { return !Stored(key).has_value(); });
}

bool Incidents::Delivered(const Subject& subject, absl::Time now) const {
  return deliveries_.Knows(SenderName(subject), now);
}

bool Incidents::DeliveredAt(absl::string_view where, const Subject& subject, absl::Time now) const {
  return deliveries_.Knows(PlaceName(where, subject), now);
}

bool Incidents::DeliveredFor(absl::string_view domain, absl::Time now) const {
  return deliveries_.Knows(RecipientName(domain), now);
}

std::vector<Incident> Incidents::SeeDelivery(const std::string& where, const Subject& subject,
                                             absl::string_view domain, absl::Time time) {
  name_ = SenderName(subject, std::move(name_));
  Remember(name_, time);
  name_ = PlaceName(where, subject, std::move(name_));
  Remember(name_, time);
  name_ = RecipientName(domain, std::move(name_));
  Remember(name_, time);
  std::vector<Incident> ended;
  if (places_.empty()) return ended;  // nearly always
  for (const Key& key :
       {Key(ReplyScope::kDestination, where), Key(ReplyScope::kSenderDomain, where), Resolver()}) {
    auto found = places_.find(key);
    if (found == places_.end()) continue;
    Place& place = found->second;
    SetChanged(key);
    if (place.incident.has_value()) {
      if (++place.recovered < kRecovered) continue;
      ended.push_back(End(&place, time));
    }
    places_.erase(found);
  }
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

void Incidents::Remove(const std::string& where, const MessageKey& message,
                       const std::string& recipient) {
  for (ReplyScope scope :
       {ReplyScope::kDestination, ReplyScope::kSenderDomain, ReplyScope::kServer}) {
    auto place = places_.find(Key(scope, where));
    if (place == places_.end()) continue;
    auto& all = place->second.contributions;
    const size_t before = all.size();
    all.erase(std::remove_if(all.begin(), all.end(),
                             [&](const PlaceContribution& one) {
                               return one.message == message && one.recipient == recipient;
                             }),
              all.end());
    if (all.size() != before) SetChanged(place->first);
  }
}

std::deque<PlaceContribution> Incidents::TakeContributions(const Key& key, absl::Time now) {
  auto place = places_.find(key);
  if (place == places_.end()) return {};
  SetChanged(key);
  const std::deque<PlaceContribution>& taken = place->second.contributions;
  if (place->second.incident.has_value() && !taken.empty()) {
    Incident& incident = *place->second.incident;
    incident.taken_out_at = now;
    incident.taken_out_from = now;
    for (const PlaceContribution& one : taken) {
      incident.taken_out_from = std::min(incident.taken_out_from, one.dated);
    }
  }
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

std::vector<Incident> Incidents::ForgetAfter(absl::Time t) {
  std::vector<Incident> ended;
  for (auto it = places_.begin(); it != places_.end();) {
    if (it->second.last <= t) {
      ++it;
      continue;
    }
    if (it->second.incident.has_value()) ended.push_back(End(&it->second, t));
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

std::vector<Incidents::Key> Incidents::TakeChanged() {
  std::vector<Key> changed(changed_.begin(), changed_.end());
  changed_.clear();
  return changed;
}

std::optional<Place> Incidents::Stored(const Key& key) const {
  if (key.first == ReplyScope::kRecipient) {
    const std::optional<absl::Time> seen = deliveries_.Find(key.second);
    if (!seen.has_value()) return std::nullopt;
    Place place;
    place.last = *seen;
    return place;
  }
  auto place = places_.find(key);
  if (place == places_.end()) return std::nullopt;
  return place->second;
}

void Incidents::Restore(const Key& key, Place place) {
  if (key.first == ReplyScope::kRecipient) return deliveries_.Restore(key.second, place.last);
  oldest_last_ = std::min(oldest_last_, place.last);
  places_[key] = std::move(place);
}

}  // namespace deferd
