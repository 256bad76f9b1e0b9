#include "limiter/sharing/row_exchange.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "limiter/store/window_codec.h"
#include "limiter/store/window_row.h"
#include "policy/text.h"

namespace deferd {

namespace {

// Others' clocks may be a little ahead; a window can hold as many steps more than are live.
constexpr int64_t kVersionsAhead = 3;

constexpr size_t kMostCrowded = 1'000;

// Of one window that are shared: the newest.
constexpr size_t kMostRecipients = 1'000;

// The first 8 of its 16 hex digits.
uint32_t HashOf(const Policy& policy) {
  uint32_t hash = 0;
  for (size_t i = 0; i < 8 && i < policy.hash.size(); ++i) {
    const char c = policy.hash[i];
    hash = hash << 4 | static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) % 16;
  }
  return hash;
}

bool Sane(const WindowRow& row) { return row.version < 2 * kMostVersion; }

// What may make a rule trip, by step, of a window's live steps and those ahead.
std::array<int64_t, StepClock::kSteps + kVersionsAhead> BadByStep(const Window& window,
                                                                  int64_t now_step) {
  std::array<int64_t, StepClock::kSteps + kVersionsAhead> sums = {};
  window.ForEach([&](int64_t step, CountedOutcome outcome, int64_t count) {
    const int64_t at = step - now_step + StepClock::kSteps - 1;
    const bool bad = outcome != CountedOutcome::kDelivered && outcome != CountedOutcome::kSurplus;
    if (!bad || at < 0) return;
    if (at < static_cast<int64_t>(sums.size())) sums[at] += count;
  });
  return sums;
}

}  // namespace

const std::vector<RowExchange::NodeWindow>* RowExchange::Find(const Subject& subject,
                                                              absl::Duration window,
                                                              absl::string_view counter) const {
  auto found = others_.find(subject);
  if (found == others_.end()) return nullptr;
  for (const OfLength& one : found->second) {
    if (one.length == window && one.counter == counter) return &one.nodes;
  }
  return nullptr;
}

int64_t RowExchange::OthersOf(const Subject& subject, absl::Duration window, ClassSet classes,
                              int64_t now_step, int64_t after_step) const {
  int64_t sum = 0;
  for (const ReplyClass one : classes.All()) {
    const std::vector<NodeWindow>* nodes = Find(subject, window, ReplyClassName(one));
    if (nodes == nullptr) continue;
    for (const NodeWindow& node : *nodes) sum += node.window.Sum(now_step, after_step).bad();
  }
  return sum;
}

void RowExchange::AddRecipients(const Subject& subject, absl::Duration window, ClassSet classes,
                                int64_t now_step, int64_t after_step, int64_t sign,
                                RecipientWindow::Tally* tally) const {
  const std::vector<NodeWindow>* nodes =
      Find(subject, window, classes.empty() ? RowKey::kRecipients : RowKey::kRecipientsByClass);
  if (nodes == nullptr) return;
  for (const NodeWindow& one : *nodes) {
    one.recipients.AddTo(tally, now_step, after_step, sign, classes);
  }
}

std::vector<RowKey> RowExchange::KeysOf(const Subject& subject, size_t window) const {
  const absl::Duration length = counter_->lengths()[window].window();
  std::vector<RowKey> keys = {{subject, length, ""}};
  for (std::string& name : counter_->ClassesOf(window).Names()) {
    keys.push_back({subject, length, std::move(name)});
  }
  if (counter_->AsksRecipients(window)) keys.push_back({subject, length, RowKey::kRecipients});
  if (counter_->AsksRecipientsByClass(window)) {
    keys.push_back({subject, length, RowKey::kRecipientsByClass});
  }
  return keys;
}

std::vector<RowKey> RowExchange::KeysOf(const Subject& subject) const {
  std::vector<RowKey> keys;
  for (size_t i = 0; i < counter_->lengths().size(); ++i) {
    for (RowKey& key : KeysOf(subject, i)) keys.push_back(std::move(key));
  }
  return keys;
}

RowPut RowExchange::PutOf(RowKey key, size_t window, uint32_t policy_hash) {
  const int64_t shift = ShiftOf(counter_->lengths()[window]);
  const double version = ++version_;
  const SideWindows* side = key.counter.empty() ? nullptr : counter_->FindSide(key.subject, window);
  if (key.IsOfRecipients()) {
    const SideWindows none;
    const SideWindows& known = side == nullptr ? none : *side;
    std::string row = RecipientsText(
        key.counter == RowKey::kRecipients ? known.recipients : known.recipients_by_class, version,
        shift, kMostRecipients);
    return {std::move(key), version, std::move(row)};
  }
  const Window* counted = nullptr;
  if (key.counter.empty()) {
    counted = counter_->Find(key.subject, window);
  } else if (const std::optional<ReplyClass> known = ParseReplyClass(key.counter);
             side != nullptr && known.has_value()) {
    counted = side->counted.Find(*known);
  }
  WindowRow row;
  if (counted != nullptr) row = RowOf(*counted, shift);
  row.version = version;
  row.policy_hash = policy_hash;
  return {std::move(key), version, EncodeWindowRow(row)};
}

Counts RowExchange::Others(const Subject& subject, absl::Duration window, int64_t now_step,
                           int64_t after_step) const {
  Counts sum;
  const std::vector<NodeWindow>* nodes = Find(subject, window);
  if (nodes == nullptr) return sum;
  for (const NodeWindow& one : *nodes) sum += one.window.Sum(now_step, after_step);
  return sum;
}

std::vector<std::pair<std::string, Counts>> RowExchange::OthersByNode(const Subject& subject,
                                                                      absl::Duration window,
                                                                      int64_t now_step,
                                                                      int64_t after_step) const {
  std::vector<std::pair<std::string, Counts>> by_node;
  const std::vector<NodeWindow>* nodes = Find(subject, window);
  if (nodes == nullptr) return by_node;
  for (const NodeWindow& one : *nodes) {
    const Counts part = one.window.Sum(now_step, after_step);
    if (!part.nothing()) by_node.emplace_back(one.node, part);
  }
  return by_node;
}

void RowExchange::Refuse(const RowKey& key, absl::string_view node, absl::string_view why) {
  ++refused_->rows;
  refused_->last = absl::StrCat("row of node ", Quoted(node), " for ",
                                Quoted(key.subject.ToString()), ": ", why);
}

// What the shared store has under this node's own name.
bool RowExchange::OwnRowIsForeign(const RowKey& key, absl::string_view bytes) {
  double version = 0;
  if (bytes.size() < sizeof(version)) return true;
  std::memcpy(&version, bytes.data(), sizeof(version));
  if (version <= version_) {
    RecipientWindow recipients;
    return !(key.IsOfRecipients() ? ReadRecipients(bytes, 0, 0, 0, &recipients)
                                  : DecodeWindowRow(bytes).status())
                .ok();
  }
  if (version < kMostVersion) {
    version_ = version;
  } else {
    Refuse(key, node_, "its version is out of range");
  }
  return true;
}

// Whether this node has put a row of the key, as far as it knows.
bool RowExchange::ShouldHaveRow(const RowKey& key) const {
  if (!counter_->Has(key.subject) || Waits(key.subject)) return false;
  const std::optional<size_t> window = counter_->IndexOf(key.window);
  return key.counter.empty() ||
         (window.has_value() && counter_->FindSide(key.subject, *window) != nullptr);
}

RowExchange::News RowExchange::SetRows(const RowKey& key, const StepClock& steps, int64_t now_step,
                                       const std::vector<SharedRow>& rows, bool judged) {
  const int64_t shift = ShiftOf(steps);
  News news;
  std::vector<NodeWindow> nodes;
  absl::flat_hash_set<absl::string_view> stored;
  for (const SharedRow& shared : rows) {
    stored.insert(shared.node);
    if (shared.node == node_) {
      news.put_again = OwnRowIsForeign(key, shared.row) || news.put_again;
      continue;
    }
    if (key.IsOfRecipients()) {
      NodeWindow one = {shared.node, {}, {}};
      const absl::Status read = ReadRecipients(shared.row, now_step - StepClock::kSteps + 1,
                                               now_step + kVersionsAhead, shift, &one.recipients);
      if (!read.ok()) Refuse(key, shared.node, read.message());
      if (read.ok() && !one.empty()) nodes.push_back(std::move(one));
      continue;
    }
    absl::StatusOr<WindowRow> row = DecodeWindowRow(shared.row);
    if (!row.ok() || !Sane(*row)) {
      Refuse(key, shared.node,
             row.ok() ? "its counts or its version are out of range" : row.status().message());
      continue;
    }
    NodeWindow one = {shared.node, {}, {}};
    for (const WindowCell& cell : row->cells) {
      const int64_t step = int64_t{cell.step} - shift;
      if (step <= now_step - StepClock::kSteps || step > now_step + kVersionsAhead) continue;
      RestoreCell(cell, step, &one.window);
    }
    if (!one.empty()) nodes.push_back(std::move(one));
  }

  const std::vector<NodeWindow>* before = Find(key.subject, key.window, key.counter);
  absl::flat_hash_map<absl::string_view, const NodeWindow*> known_windows;
  if (before != nullptr) {
    for (const NodeWindow& old : *before) known_windows[old.node] = &old;
  }
  for (const NodeWindow& one : nodes) {
    std::array<int64_t, StepClock::kSteps + kVersionsAhead> known = {};
    auto old = known_windows.find(one.node);
    if (old != known_windows.end()) known = BadByStep(old->second->window, now_step);
    if (old == known_windows.end() || old->second->recipients.entries() != one.recipients.entries())
      news.worse = news.worse || !one.recipients.empty();
    const auto now = BadByStep(one.window, now_step);
    for (size_t i = 0; i < now.size(); ++i) news.worse = news.worse || now[i] > known[i];
  }

  // Others may have judged without this node's row. So their new bad deliveries must be news when
  // it is put again, which is when they are judged here.
  if (!judged && news.worse && !stored.contains(node_) && ShouldHaveRow(key)) return news;
  if (before != nullptr) {
    for (const NodeWindow& old : *before) {
      if (!stored.contains(old.node) && there_.contains(old.node)) nodes.push_back(old);
    }
  }

  if (nodes.empty() && before == nullptr) return news;
  std::vector<OfLength>& lengths = others_[key.subject];
  auto at = std::find_if(lengths.begin(), lengths.end(), [&](const OfLength& one) {
    return one.length == key.window && one.counter == key.counter;
  });
  if (!nodes.empty()) {
    if (at == lengths.end()) at = lengths.insert(at, {key.window, key.counter, {}});
    at->nodes = std::move(nodes);
  } else if (at != lengths.end()) {
    lengths.erase(at);
  }
  if (lengths.empty()) others_.erase(key.subject);
  return news;
}

void RowExchange::Expire(absl::Time now) {
  absl::erase_if(others_, [&](auto& entry) {
    std::vector<OfLength>& lengths = entry.second;
    for (OfLength& one : lengths) {
      const std::optional<size_t> window = counter_->IndexOf(one.length);
      const int64_t now_step = window.has_value() ? counter_->lengths()[*window].StepOf(now)
                                                  : std::numeric_limits<int64_t>::max();
      for (NodeWindow& part : one.nodes) {
        part.window.Expire(now_step);
        part.recipients.Expire(now_step);
      }
      one.nodes.erase(std::remove_if(one.nodes.begin(), one.nodes.end(),
                                     [](const NodeWindow& part) { return part.empty(); }),
                      one.nodes.end());
    }
    lengths.erase(std::remove_if(lengths.begin(), lengths.end(),
                                 [](const OfLength& one) { return one.nodes.empty(); }),
                  lengths.end());
    return lengths.empty();
  });
  absl::erase_if(parts_, [&](auto& entry) {
    absl::erase_if(entry.second, [&](const Subject& part) { return !counter_->Has(part); });
    return entry.second.empty();
  });
}

void RowExchange::ForgetWaiting(absl::FunctionRef<bool(const Subject&)> kept) {
  if (waiting_.size() <= counter_->size()) return;
  const auto idle = [&](const Subject& subject) {
    return !counter_->Has(subject) && !kept(subject);
  };
  absl::erase_if(waiting_, [&](const auto& entry) { return idle(entry.first); });
  absl::erase_if(groups_, [&](auto& entry) {
    std::vector<Subject>& group = entry.second;
    group.erase(std::remove_if(group.begin(), group.end(), idle), group.end());
    return group.empty();
  });
}

void RowExchange::ForEachOther(absl::FunctionRef<void(const Subject&)> tell) const {
  for (const auto& [subject, lengths] : others_) tell(subject);
}

int64_t RowExchange::ShiftOf(const StepClock& steps) const {
  const double length = absl::ToDoubleSeconds(steps.window()) / StepClock::kSteps;
  const double shift = absl::ToDoubleSeconds(offset_) / length;
  return static_cast<int64_t>(shift < 0 ? shift - 0.5 : shift + 0.5);
}

bool RowExchange::SetOffset(absl::Duration offset, bool exact) {
  if (!exact && measured_.has_value()) return false;
  measured_ = offset;
  // What trembles about half a step, or a whole second, must not put everything again and again.
  if (absl::AbsDuration(offset - offset_) <= absl::Seconds(1)) return false;
  std::vector<int64_t> before;
  for (const StepClock& steps : counter_->lengths()) before.push_back(ShiftOf(steps));
  offset_ =
      absl::Trunc(offset, absl::Microseconds(1));  // a record moved there and back is the same
  bool moved = false;
  for (size_t i = 0; i < before.size(); ++i) {
    moved = moved || ShiftOf(counter_->lengths()[i]) != before[i];
  }
  if (moved) others_.clear();  // they are read again
  return moved;
}

void RowExchange::Wait(const Subject& subject, const Subject& domain) {
  if (std::exchange(waiting_[subject].changed, true)) return;
  groups_[domain.id.empty() ? subject : domain].push_back(subject);
}

const absl::flat_hash_set<Subject>* RowExchange::PartsOf(const Subject& domain) const {
  auto parts = parts_.find(domain);
  return parts == parts_.end() ? nullptr : &parts->second;
}

// A domain with those of its parts that wait, the parts first; with it also the parts that its
// counts are taken of without.
std::vector<Subject> RowExchange::TakeGroup(
    absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart) {
  auto group = groups_.begin();
  const Subject leader = group->first;
  std::vector<Subject> subjects = std::move(group->second);
  groups_.erase(group);
  auto at = std::find(subjects.begin(), subjects.end(), leader);
  if (at == subjects.end()) return subjects;
  subjects.erase(at);
  if (const std::vector<Subject>* parts = apart(leader)) {
    const absl::flat_hash_set<Subject> there(subjects.begin(), subjects.end());
    for (const Subject& part : *parts) {
      if (!there.contains(part)) subjects.push_back(part);
    }
  }
  subjects.push_back(leader);
  return subjects;
}

std::vector<RowPut> RowExchange::Take(
    size_t most, const Policy& policy,
    absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart) {
  std::vector<RowPut> puts;
  const uint32_t policy_hash = HashOf(policy);
  const size_t lengths = counter_->lengths().size();
  for (size_t taken = 0; taken < most && !groups_.empty();) {
    const std::vector<Subject> group = TakeGroup(apart);
    const size_t first = puts.size();
    size_t parts_end = first;
    // A domain is judged without its parts, so that what other nodes have of a part has to be read
    // with the domain's, though this node may have nothing of it. Of whom nobody in the group has
    // anything besides the counts, none of that judges.
    std::vector<bool> besides(lengths);
    for (const Subject& subject : group) {
      for (size_t i = 0; i < lengths; ++i) {
        if (counter_->FindSide(subject, i) != nullptr) besides[i] = true;
      }
    }
    for (const Subject& subject : group) {
      parts_end = puts.size();
      for (size_t i = 0; i < lengths; ++i) {
        if (!besides[i]) {
          puts.push_back(PutOf({subject, counter_->lengths()[i].window()}, i, policy_hash));
          continue;
        }
        for (RowKey& key : KeysOf(subject, i)) {
          puts.push_back(PutOf(std::move(key), i, policy_hash));
        }
      }
      being_put_[subject] = waiting_[subject];
      waiting_.erase(subject);
    }
    taken += group.size();
    if (group.back().kind != SubjectKind::kDomain) continue;
    for (size_t i = first; i < parts_end; ++i) {
      RowPut again = puts[i];
      puts.push_back(std::move(again));
    }
  }
  return puts;
}

void RowExchange::TakeBack(absl::Span<const RowPut> puts,
                           absl::FunctionRef<Subject(const Subject&)> domain_of) {
  for (const RowPut& put : puts) {
    const Subject& subject = put.key.subject;
    auto being_put = being_put_.find(subject);
    if (being_put == being_put_.end()) continue;
    Wait(subject, domain_of(subject));
    if (being_put->second.bad) SetBad(subject);
    being_put_.erase(being_put);
  }
}

std::vector<Subject> RowExchange::Put(absl::Span<const RowPut> puts,
                                      absl::Span<const RowAnswer> answers, absl::Time now) {
  alone_ = false;
  std::vector<Subject> narrow, wide;
  absl::flat_hash_set<Subject> known;
  for (size_t i = 0; i < puts.size() && i < answers.size(); ++i) {
    const RowKey& key = puts[i].key;
    auto being_put = being_put_.find(key.subject);
    const bool bad = being_put != being_put_.end() && being_put->second.bad;
    if (!answers[i].status.ok()) {
      to_retry_.push_back(key.subject);
      if (bad) SetBad(key.subject);
      continue;
    }
    const News news = SetRows(key, answers[i], now, /*judged=*/true);
    if ((news.worse || bad) && known.insert(key.subject).second) {
      (key.subject.kind == SubjectKind::kDomain ? wide : narrow).push_back(key.subject);
    }
    if (news.put_again || answers[i].crowded) to_retry_.push_back(key.subject);
  }
  for (const RowPut& put : puts) being_put_.erase(put.key.subject);
  narrow.insert(narrow.end(), wide.begin(), wide.end());
  return narrow;
}

void RowExchange::Read(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers,
                       absl::Time now) {
  for (size_t i = 0; i < keys.size() && i < answers.size(); ++i) {
    if (!answers[i].status.ok()) continue;
    const News news = SetRows(keys[i], answers[i], now, /*judged=*/false);
    if (news.put_again) to_retry_.push_back(keys[i].subject);
  }
}

RowExchange::News RowExchange::SetRows(const RowKey& key, const RowAnswer& answer, absl::Time now,
                                       bool judged) {
  if (answer.crowded) {  // what is known of the others stays
    if (crowded_.size() < kMostCrowded && crowded_.insert(key.subject).second) {
      Refuse(key, "", "more rows than there can be nodes");
    }
    return {};
  }
  const std::optional<size_t> window = counter_->IndexOf(key.window);
  if (!window.has_value()) return {};
  const StepClock& steps = counter_->lengths()[*window];
  return SetRows(key, steps, steps.StepOf(now), answer.rows, judged);
}

void RowExchange::SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at) {
  // While the store was away, nobody could say to be there.
  if (absl::AbsDuration(at - listed_) >= SharedStore::kLive) {
    for (auto& [node, seen] : there_) seen = at;
  }
  listed_ = at;
  for (const NodeRecord& one : nodes) {
    auto [known, added] = there_.try_emplace(one.node, one.seen);
    known->second = std::max(known->second, one.seen);
  }
  // Not who is missing from the list: that may have been lost too, and is filled within a beat.
  absl::erase_if(there_, [&](const auto& entry) {
    return absl::AbsDuration(at - entry.second) >= SharedStore::kLive;
  });
}

bool RowExchange::TakeConfirming(const Subject& domain) {
  unconfirmed_.erase(domain);
  return confirming_.erase(domain) > 0;
}

std::vector<Subject> RowExchange::OnStoreUnreachable() {
  alone_ = true;
  confirming_.clear();
  const absl::flat_hash_set<Subject> asked = std::exchange(unconfirmed_, {});
  return {asked.begin(), asked.end()};
}

std::vector<RowKey> RowExchange::TakeCrowded() {
  std::vector<RowKey> keys;
  for (const Subject& subject : std::exchange(crowded_, {})) {
    for (RowKey& key : KeysOf(subject)) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace deferd
