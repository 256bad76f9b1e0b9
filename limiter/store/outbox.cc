#include "limiter/store/outbox.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "limiter/store/codec.h"

namespace deferd {

absl::string_view DeliveryStateName(DeliveryState state) {
  switch (state) {
    case DeliveryState::kPending:
      return "pending";
    case DeliveryState::kDelivered:
      return "delivered";
    case DeliveryState::kDead:
      break;
  }
  return "dead";
}

std::string NewNoticeSecret() {
  char random[16];
  // Without random bytes none of its mail is known as deferd's own, and it is delivered all the
  // same.
  if (getrandom(random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random))) return "";
  return absl::BytesToHexString(absl::string_view(random, sizeof(random)));
}

std::string NoticeText(const Notice& notice) {
  using codec::Micros;
  codec::Json deliveries = codec::Json::object();
  for (const auto& [sink, one] : notice.deliveries) {
    deliveries[sink] = {{"state", static_cast<int>(one.state)},
                        {"attempts", one.attempts},
                        {"next_try", Micros(one.next_try)},
                        {"done_at", Micros(one.done_at)},
                        {"error", one.error},
                        {"left", one.left}};
  }
  return codec::Bytes({{"kind", std::string(InfoOf(notice.kind).name)},
                       {"time", Micros(notice.time)},
                       {"subject", notice.subject},
                       {"domain", notice.domain},
                       {"thread", notice.thread},
                       {"facts", notice.facts},
                       {"routed", notice.routed},
                       {"secret", notice.secret},
                       {"deliveries", std::move(deliveries)}});
}

absl::StatusOr<Notice> ParseNotice(absl::string_view id, absl::string_view text) {
  return codec::Parse<Notice>(text, "notice", [&](const codec::Json& json) {
    Notice notice;
    notice.id = std::string(id);
    const std::optional<NoticeKind> kind = ParseNoticeKind(json.at("kind").get<std::string>());
    if (!kind.has_value()) throw codec::UnknownValue("a kind that this deferd does not know");
    notice.kind = *kind;
    notice.time = codec::TimeAt(json, "time", absl::InfinitePast());
    notice.subject = json.value("subject", "");
    notice.domain = json.value("domain", "");
    notice.thread = json.value("thread", "");
    notice.facts = json.value("facts", "");
    notice.routed = json.value("routed", false);
    notice.secret = json.value("secret", "");
    for (const auto& [sink, one] : json.at("deliveries").items()) {
      NoticeDelivery& delivery = notice.deliveries[sink];
      delivery.state = codec::EnumOf<DeliveryState>(one.at("state"), kDeliveryStates);
      delivery.attempts = one.value("attempts", 0);
      delivery.next_try = codec::TimeAt(one, "next_try", absl::InfinitePast());
      delivery.done_at = codec::TimeAt(one, "done_at", absl::InfiniteFuture());
      delivery.error = one.value("error", "");
      delivery.left = one.value("left", "");
    }
    return notice;
  });
}

bool Outbox::IsFinished(const Notice& notice) {
  return notice.routed &&
         std::none_of(notice.deliveries.begin(), notice.deliveries.end(),
                      [](const auto& one) { return one.second.state == DeliveryState::kPending; });
}

void Outbox::Changed(const std::string& id) { changed_.insert(id); }

void Outbox::SetPending(const std::string& sink, const Notice& notice, const NoticeDelivery* before,
                        const NoticeDelivery* after) {
  if (before != nullptr && before->state == DeliveryState::kPending) {
    pending_[sink].erase({before->next_try, notice.id});
    pending_since_.erase(pending_since_.find(notice.time));
    --stats_.pending;
  } else if (before != nullptr && before->state == DeliveryState::kDead) {
    --stats_.dead;
  }
  if (after == nullptr) return;
  if (after->state == DeliveryState::kPending) {
    pending_[sink].insert({after->next_try, notice.id});
    pending_since_.insert(notice.time);
    ++stats_.pending;
  } else if (after->state == DeliveryState::kDead) {
    ++stats_.dead;
  } else if (before != nullptr) {
    ++stats_.delivered;
  }
}

void Outbox::Add(Notice notice) {
  MutexLock lock(&mutex_);
  if (entries_.contains(notice.id)) return;
  if (entries_.size() >= kMost) {
    ++stats_.lost;
    return;
  }
  const std::string id = notice.id;
  if (notice.secret.empty()) notice.secret = NewNoticeSecret();
  for (const auto& [sink, delivery] : notice.deliveries) {
    SetPending(sink, notice, nullptr, &delivery);
  }
  entries_[id].notice = std::move(notice);
  Changed(id);
}

void Outbox::AddUnstored(Notice notice) {
  const std::string id = notice.id;
  Add(std::move(notice));
  std::function<void()> wake;
  {
    MutexLock lock(&mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.stored) return;
    found->second.stored = true;
    unrouted_.insert(id);
    wake = wake_;
  }
  if (wake) wake();
}

bool Outbox::Has(const std::string& id) const {
  MutexLock lock(&mutex_);
  return entries_.contains(id);
}

void Outbox::Collect(std::vector<StoredText>* batch) {
  MutexLock lock(&mutex_);
  being_saved_ = std::exchange(changed_, {});
  for (const std::string& id : being_saved_) {
    const auto found = entries_.find(id);
    batch->push_back({id, found == entries_.end() ? "" : NoticeText(found->second.notice)});
  }
}

void Outbox::Saved(bool saved) {
  std::function<void()> wake;
  {
    MutexLock lock(&mutex_);
    const absl::btree_set<std::string> ids = std::exchange(being_saved_, {});
    if (!saved) {
      changed_.insert(ids.begin(), ids.end());
      return;
    }
    for (const std::string& id : ids) {
      const auto found = entries_.find(id);
      if (found == entries_.end()) continue;
      found->second.stored = true;
      if (!found->second.notice.routed) unrouted_.insert(id);
    }
    if (!unrouted_.empty()) wake = wake_;
  }
  if (wake) wake();
}

absl::Status Outbox::Restore(const StoredText& stored) {
  absl::StatusOr<Notice> notice = ParseNotice(stored.name, stored.text);
  if (!notice.ok()) return notice.status();
  MutexLock lock(&mutex_);
  const std::string& id = stored.name;
  for (const auto& [sink, delivery] : notice->deliveries) {
    SetPending(sink, *notice, nullptr, &delivery);
  }
  if (!notice->routed) unrouted_.insert(id);
  if (IsFinished(*notice)) finished_.insert({notice->time, id});
  entries_[id] = {*std::move(notice), /*stored=*/true};
  return absl::OkStatus();
}

void Outbox::OnStored(std::function<void()> wake) {
  MutexLock lock(&mutex_);
  wake_ = std::move(wake);
}

void Outbox::Route(absl::FunctionRef<std::vector<std::string>(const Notice&)> sinks_of) {
  MutexLock lock(&mutex_);
  for (const std::string& id : std::exchange(unrouted_, {})) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    Notice& notice = found->second.notice;
    for (const std::string& sink : sinks_of(notice)) {
      const auto [it, is_new] = notice.deliveries.try_emplace(sink);
      if (is_new) SetPending(sink, notice, nullptr, &it->second);
    }
    notice.routed = true;
    Changed(id);
    if (notice.deliveries.empty()) Forget(id);
  }
}

std::vector<Notice> Outbox::Due(const std::string& sink, absl::Time now, size_t most) const {
  MutexLock lock(&mutex_);
  std::vector<Notice> due;
  const auto found = pending_.find(sink);
  if (found == pending_.end()) return due;
  for (const auto& [at, id] : found->second) {
    if (at > now || due.size() >= most) break;
    due.push_back(entries_.at(id).notice);
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Notice& a, const Notice& b) { return a.time < b.time; });
  return due;
}

absl::Time Outbox::NextDue(const std::string& sink) const {
  MutexLock lock(&mutex_);
  const auto found = pending_.find(sink);
  if (found == pending_.end() || found->second.empty()) return absl::InfiniteFuture();
  return found->second.begin()->first;
}

void Outbox::SetDelivery(const std::string& id, const std::string& sink,
                         const NoticeDelivery& delivery, absl::Time now) {
  MutexLock lock(&mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  Notice& notice = found->second.notice;
  const auto [it, is_new] = notice.deliveries.try_emplace(sink);
  if (!is_new && delivery.attempts > it->second.attempts &&
      delivery.state != DeliveryState::kDelivered) {
    ++stats_.failed;
  }
  SetPending(sink, notice, is_new ? nullptr : &it->second, &delivery);
  it->second = delivery;
  Changed(id);
  if (IsFinished(notice)) finished_.insert({notice.time, id});
  ForgetFinished(now);
}

int Outbox::Retry(absl::string_view id, absl::Time now) {
  MutexLock lock(&mutex_);
  int retried = 0;
  for (auto& [name, entry] : entries_) {
    if (!id.empty() && name != id) continue;
    for (auto& [sink, delivery] : entry.notice.deliveries) {
      if (delivery.state != DeliveryState::kDead) continue;
      const NoticeDelivery again = {
          .next_try = now, .error = delivery.error, .left = delivery.left};
      SetPending(sink, entry.notice, &delivery, &again);
      delivery = again;
      finished_.erase({entry.notice.time, name});
      Changed(name);
      ++retried;
    }
  }
  return retried;
}

void Outbox::Forget(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  for (const auto& [sink, delivery] : found->second.notice.deliveries) {
    SetPending(sink, found->second.notice, &delivery, nullptr);
  }
  finished_.erase({found->second.notice.time, id});
  entries_.erase(found);
  Changed(id);
}

void Outbox::ForgetFinished(absl::Time now) {
  while (!finished_.empty() &&
         (finished_.size() > kMostFinished || finished_.begin()->first < now - kKeep)) {
    Forget(std::string(finished_.begin()->second));
  }
}

int64_t Outbox::ForgetNamed(absl::FunctionRef<bool(const Notice&)> names, bool only_count) {
  MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_) {
    if (names(entry.notice)) ids.push_back(id);
  }
  if (only_count) return static_cast<int64_t>(ids.size());
  for (const std::string& id : ids) {
    unrouted_.erase(id);
    Forget(id);
  }
  return static_cast<int64_t>(ids.size());
}

std::vector<Notice> Outbox::List() const {
  MutexLock lock(&mutex_);
  std::vector<Notice> all;
  for (const auto& [id, entry] : entries_) all.push_back(entry.notice);
  std::stable_sort(all.begin(), all.end(),
                   [](const Notice& a, const Notice& b) { return a.time < b.time; });
  return all;
}

Outbox::Stats Outbox::stats() const {
  MutexLock lock(&mutex_);
  Stats stats = stats_;
  if (!pending_since_.empty()) stats.oldest = *pending_since_.begin();
  return stats;
}

}  // namespace deferd
