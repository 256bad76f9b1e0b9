#include "limiter/intake/hand_overs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "policy/on_this_host.h"
#include "policy/subject.h"

namespace deferd {
namespace {

constexpr int64_t kForm = 1;
constexpr size_t kMaxFilters = 64;
constexpr size_t kMaxLate = 2'000;

// FNV-1a. The hashes are stored, so they must not change between runs.
uint64_t HashOfText(absl::string_view text, uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

uint64_t HashOfLower(absl::string_view text) { return HashOfText(absl::AsciiStrToLower(text)); }

// 0: no hash.
uint64_t HashOfMessageId(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  absl::ConsumePrefix(&text, "<");
  absl::ConsumeSuffix(&text, ">");
  return text.empty() ? 0 : HashOfText(text) | 1;
}

template <typename T, typename Of>
bool Holds(const std::vector<T>& list, const Of& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// A service on one loopback address may reply from another one.
absl::string_view FilterName(absl::string_view host_ip) {
  return IsLoopbackHost(host_ip) ? "127.0.0.1" : host_ip;
}

class Writer {
 public:
  template <typename Integer>
  void Number(Integer number) {
    absl::StrAppend(&text_, number, " ");
  }
  // CEscape does not escape blanks.
  void Text(absl::string_view text) {
    std::string escaped = absl::CEscape(text);
    if (absl::StrContains(escaped, ' ')) escaped = absl::StrReplaceAll(escaped, {{" ", "\\040"}});
    absl::StrAppend(&text_, escaped, " ");
  }
  std::string Take() {
    if (!text_.empty()) text_.pop_back();
    return std::move(text_);
  }

 private:
  std::string text_;
};

// After the first missing or malformed word, every read returns an empty or zero value.
class Words {
 public:
  explicit Words(absl::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  int64_t Number() { return As<int64_t>(); }
  uint64_t Hash() { return As<uint64_t>(); }
  std::string Text() {
    std::string text;
    ok_ = ok_ && absl::CUnescape(Next(), &text);
    return ok_ ? text : "";
  }

 private:
  absl::string_view Next() {
    if (at_end_) {
      ok_ = false;
      return "";
    }
    const size_t blank = text_.find(' ');
    const absl::string_view word = text_.substr(0, blank);
    at_end_ = blank == absl::string_view::npos;
    text_.remove_prefix(at_end_ ? text_.size() : blank + 1);
    return word;
  }
  template <typename Integer>
  Integer As() {
    Integer number = 0;
    ok_ = ok_ && absl::SimpleAtoi(Next(), &number);
    return ok_ ? number : 0;
  }

  absl::string_view text_;
  bool at_end_ = false;
  bool ok_ = true;
};

}  // namespace

bool IsThisHost(absl::string_view client_ip) {
  const std::optional<Subject> host = HostSubject(client_ip);
  return host.has_value() && IsLoopbackHost(*host);
}

void HandOvers::Name(absl::string_view id, absl::string_view message_id) {
  const uint64_t hash = HashOfMessageId(message_id);
  if (hash == 0 || names_.Find(id) != nullptr) return;
  if (names_.Insert(id, hash, capacity_)) ++evicted_;
}

uint64_t HandOvers::PairOf(const First& first) const {
  return first.message_id * 31 + first.sender;
}

bool HandOvers::Arrive(absl::string_view id, absl::string_view message_id, int64_t recipients,
                       bool own, absl::Time now, Identity* identity) {
  DropLate(now);
  Forget(id);
  copies_.Erase(id);
  First first;
  first.id = std::string(id);
  first.message_id = HashOfMessageId(message_id);
  if (const uint64_t* name = names_.Find(id); name != nullptr) {
    if (first.message_id == 0) first.message_id = *name;
    names_.Erase(id);
  }
  first.sender = HashOfLower(identity->sender);
  first.copies_left = std::max(kLeastCopies, recipients);
  first.recipients =
      std::clamp(std::min(recipients, kMostRecipients) * 4, kLeastRecipients, kMostRecipients);
  bool inherited = false;
  if (own) {
    const auto same = by_pair_.lower_bound({PairOf(first), 0});
    const auto like = by_sender_.lower_bound({first.sender, 0});
    if (first.message_id != 0 && same != by_pair_.end() && same->first == PairOf(first)) {
      inherited = Inherit(same->second, &first, identity);
    } else if (like != by_sender_.end() && like->first == first.sender &&
               (IsThisHost(identity->host) || IsFilter(identity->host))) {
      Doubt(like->second, &first, *identity);
    } else {
      first.own = true;
    }
  }
  first.who = *identity;
  first.who.sender.clear();
  Remember(std::move(first));
  return inherited;
}

// Uses up one copy; the copy gets half of the rest, for further filters.
void HandOvers::Share(First* first, First* copy) {
  --first->copies_left;
  copy->copies_left = first->copies_left / 2;
  first->copies_left -= copy->copies_left;
  copy->recipients = first->recipients;
}

// `as_first`: the new message as the original of later copies.
bool HandOvers::Inherit(int64_t number, First* as_first, Identity* identity) {
  First& first = firsts_.find(number)->second;
  as_first->copy = !first.own || !first.copied;
  first.copied = true;
  as_first->copied = first.own;
  SetClaimed(number);
  Share(&first, as_first);
  as_first->own = first.own;
  as_first->unclear = first.unclear;
  const Identity who = first.who;
  if (first.copies_left == 0) by_pair_.erase({PairOf(first), number});
  Copy copy = {
      .unclear = as_first->unclear, .host = identity->host, .recipients = as_first->recipients};
  if (!copy.unclear) {
    identity->login = who.login;
    identity->user = who.user;
    identity->host = who.host;
    identity->identified_domain = who.identified_domain;
    // Where nothing was ever given to a filter, nobody hands back a copy of deferd's own mail.
    identity->made_by_mta = who.made_by_mta && IsFilter(copy.host);
  }
  // A proven sender pays for all of it.
  const bool proven = !who.login.empty() || !who.user.empty() || !who.identified_domain.empty();
  if (copy.unclear || (!proven && who.host != copy.host)) AddCopy(as_first->id, std::move(copy));
  return !as_first->unclear;
}

void HandOvers::Doubt(int64_t number, First* as_first, const Identity& identity) {
  First& first = firsts_.find(number)->second;
  Share(&first, as_first);
  as_first->unclear = true;
  first.doubtful.push_back(as_first->id);
  if (first.copies_left == 0) {
    by_pair_.erase({PairOf(first), number});
    by_sender_.erase({first.sender, number});
  }
  AddCopy(as_first->id,
          {.unclear = true, .host = identity.host, .recipients = as_first->recipients});
}

void HandOvers::SetUnclear(absl::string_view id, absl::string_view host) {
  AddFilter(host);
  AddCopy(id, {.unclear = true, .host = std::string(host), .recipients = kLeastRecipients});
  if (First* as_first = Find(id)) {
    as_first->unclear = true;
    as_first->own = false;
  }
}

void HandOvers::SetClear(absl::string_view id) {
  const Copy* copy = copies_.Find(id);
  if (copy == nullptr || !copy->unclear) return;
  copies_.Erase(id);
  if (First* as_first = Find(id)) {
    as_first->unclear = false;
    as_first->own = true;
  }
}

void HandOvers::AddCopy(absl::string_view id, Copy copy) {
  if (copies_.Insert(id, std::move(copy), capacity_)) ++evicted_;
}

void HandOvers::Remember(First first) {
  if (firsts_.size() >= capacity_) {
    Erase(firsts_.begin()->first);
    ++evicted_;
  }
  const int64_t number = next_++;
  number_of_[first.id] = number;
  if (first.copies_left > 0) {
    if (first.message_id != 0) by_pair_.insert({PairOf(first), number});
    if (!first.own && !first.unclear && !first.claimed) by_sender_.insert({first.sender, number});
  }
  firsts_.emplace(number, std::move(first));
}

HandOvers::First* HandOvers::Find(absl::string_view id) {
  const auto number = number_of_.find(id);
  return number == number_of_.end() ? nullptr : &firsts_.find(number->second)->second;
}

void HandOvers::Forget(absl::string_view id) {
  const auto number = number_of_.find(id);
  if (number == number_of_.end()) return;
  Release(&firsts_.find(number->second)->second);
  Erase(number->second);
}

void HandOvers::Erase(int64_t number) {
  const auto found = firsts_.find(number);
  if (found == firsts_.end()) return;
  const First& first = found->second;
  by_pair_.erase({PairOf(first), number});
  by_sender_.erase({first.sender, number});
  const auto known = number_of_.find(first.id);
  if (known != number_of_.end() && known->second == number) number_of_.erase(known);
  firsts_.erase(found);
}

void HandOvers::SetClaimed(int64_t number) {
  First& first = firsts_.find(number)->second;
  first.claimed = true;
  by_sender_.erase({first.sender, number});
  Release(&first);
}

// Messages that were taken for its copies are unrelated.
void HandOvers::Release(First* first) {
  for (const std::string& id : std::exchange(first->doubtful, {})) SetClear(id);
}

void HandOvers::DropLate(absl::Time now) {
  while (!late_.empty()) {
    const auto first = firsts_.find(late_.front());
    if (first != firsts_.end()) {
      if (first->second.ended + kLate >= now && late_.size() <= kMaxLate) return;
      Erase(first->first);
    }
    late_.pop_front();
  }
}

void HandOvers::Identify(absl::string_view id, const Identity& identity) {
  First* first = Find(id);
  if (first == nullptr) return;
  first->who = identity;
  first->who.sender.clear();
}

void HandOvers::GivenTo(absl::string_view id, absl::string_view host_ip, bool believed) {
  if (First* first = Find(id)) {
    first->given = true;
    first->believed = first->believed || believed;
  }
  AddFilter(host_ip);
}

void HandOvers::AddFilter(absl::string_view host_ip) {
  if (host_ip.empty() || IsFilter(host_ip)) return;
  if (filters_.size() >= kMaxFilters) filters_.erase(filters_.begin());
  filters_.emplace_back(FilterName(host_ip));
}

bool HandOvers::IsFilter(absl::string_view host_ip) const {
  return Holds(filters_, FilterName(host_ip));
}

void HandOvers::Proven(absl::string_view first, absl::string_view copy) {
  bool own = false;
  if (const auto number = number_of_.find(first); number != number_of_.end()) {
    First& found = firsts_.find(number->second)->second;
    own = found.own;
    found.doubtful.erase(std::remove(found.doubtful.begin(), found.doubtful.end(), copy),
                         found.doubtful.end());
    SetClaimed(number->second);
  }
  copies_.Erase(copy);
  if (First* as_first = Find(copy)) {
    as_first->unclear = false;
    as_first->own = own;
  }
}

void HandOvers::End(absl::string_view id, absl::Time now) {
  names_.Erase(id);
  copies_.Erase(id);
  First* first = Find(id);
  if (first == nullptr) return;
  if (!first->given) return Forget(id);
  if (!first->believed || first->claimed || !first->doubtful.empty() || first->copies_left <= 0) {
    return Erase(number_of_.find(id)->second);
  }
  first->ended = now;
  late_.push_back(number_of_.find(id)->second);
}

void HandOvers::Apply(absl::string_view id, absl::string_view recipient, absl::string_view original,
                      Identity* identity) {
  Copy* copy = copies_.size() == 0 ? nullptr : copies_.Find(id);
  if (copy == nullptr) return;
  bool believed = true;
  if (original.empty() && !recipient.empty()) {
    const uint64_t hash = HashOfLower(recipient);
    if (!Holds(copy->used, hash)) {
      believed = static_cast<int64_t>(copy->used.size()) < copy->recipients;
      if (believed) copy->used.push_back(hash);
    }
  }
  if (copy->unclear) {
    identity->unclear = believed && IsFilter(copy->host);
  } else if (!believed) {
    identity->host = copy->host;
  }
}

void HandOvers::Apply(absl::string_view id, Identity* identity) const {
  const Copy* copy = copies_.size() == 0 ? nullptr : copies_.Find(id);
  if (copy != nullptr) identity->unclear = copy->unclear && IsFilter(copy->host);
}

bool HandOvers::IsCopy(absl::string_view id) const {
  const auto number = number_of_.find(id);
  if (number != number_of_.end() && firsts_.find(number->second)->second.copy) return true;
  // Of what may be a copy of somebody else's mail nothing is known yet (Identity::unclear).
  const Copy* copy = copies_.size() == 0 ? nullptr : copies_.Find(id);
  return copy != nullptr && !(copy->unclear && IsFilter(copy->host));
}

void HandOvers::Rename(absl::string_view id, absl::string_view new_id) {
  const Copy* copy = copies_.Find(id);
  if (copy == nullptr || id == new_id) return;
  Copy renamed = *copy;
  copies_.Erase(id);
  AddCopy(new_id, std::move(renamed));
}

// Words separated by one blank: kForm, then the number of originals and their data, and so on.
std::string HandOvers::SaveState() const {
  if (size() == 0 && filters_.empty()) return "";
  Writer out;
  out.Number(kForm);
  out.Number(firsts_.size());
  for (const auto& [number, first] : firsts_) {
    out.Text(first.id);
    out.Number(first.message_id);
    out.Number(first.sender);
    out.Number(first.own + 2 * first.unclear + 4 * first.given + 8 * first.claimed +
               16 * first.believed);
    out.Number(first.copies_left);
    out.Number(first.recipients);
    out.Number(first.ended == absl::InfiniteFuture() ? 0 : absl::ToUnixMicros(first.ended));
    out.Text(first.who.login);
    out.Text(first.who.user);
    out.Text(first.who.host);
    out.Text(first.who.identified_domain);
    out.Number(first.doubtful.size());
    for (const std::string& id : first.doubtful) out.Text(id);
  }
  out.Number(copies_.size());
  copies_.ForEach([&](const std::string& id, const Copy& copy) {
    out.Text(id);
    out.Number(int{copy.unclear});
    out.Text(copy.host);
    out.Number(copy.recipients);
    out.Number(copy.used.size());
    for (const uint64_t hash : copy.used) out.Number(hash);
  });
  out.Number(names_.size());
  names_.ForEach([&](const std::string& id, uint64_t hash) {
    out.Text(id);
    out.Number(hash);
  });
  out.Number(filters_.size());
  for (const std::string& host : filters_) out.Text(host);
  out.Number(kForm);  // end mark
  return out.Take();
}

absl::Status HandOvers::Restore(absl::string_view state) {
  if (state.empty() || ReadState(state)) return absl::OkStatus();
  while (!firsts_.empty()) Erase(firsts_.begin()->first);
  late_.clear();
  copies_ = {};
  names_ = {};
  filters_.clear();
  return absl::DataLossError("not the state of hand-overs");
}

bool HandOvers::ReadState(absl::string_view state) {
  Words in(state);
  if (in.Number() != kForm) return false;
  std::vector<std::pair<absl::Time, int64_t>> late;
  for (int64_t n = in.Number(); n > 0 && in.ok(); --n) {
    First first;
    first.id = in.Text();
    first.message_id = in.Hash();
    first.sender = in.Hash();
    const int64_t flags = in.Number();
    first.own = (flags & 1) != 0;
    first.unclear = (flags & 2) != 0;
    first.given = (flags & 4) != 0;
    first.claimed = (flags & 8) != 0;
    first.believed = (flags & 16) != 0;
    first.copies_left = in.Number();
    first.recipients = in.Number();
    const int64_t ended = in.Number();
    first.who.login = in.Text();
    first.who.user = in.Text();
    first.who.host = in.Text();
    first.who.identified_domain = in.Text();
    for (int64_t m = in.Number(); m > 0 && in.ok(); --m) first.doubtful.push_back(in.Text());
    if (ended != 0) {
      first.ended = absl::FromUnixMicros(ended);
      late.push_back({first.ended, next_});
    }
    if (in.ok()) Remember(std::move(first));
  }
  std::stable_sort(late.begin(), late.end());
  for (const auto& [ended, number] : late) late_.push_back(number);
  for (int64_t n = in.Number(); n > 0 && in.ok(); --n) {
    const std::string id = in.Text();
    Copy copy;
    copy.unclear = in.Number() != 0;
    copy.host = in.Text();
    copy.recipients = in.Number();
    for (int64_t m = in.Number(); m > 0 && in.ok(); --m) copy.used.push_back(in.Hash());
    AddCopy(id, std::move(copy));
  }
  for (int64_t n = in.Number(); n > 0 && in.ok(); --n) {
    const std::string id = in.Text();
    names_.Insert(id, in.Hash(), capacity_);
  }
  for (int64_t n = in.Number(); n > 0 && in.ok(); --n) filters_.push_back(in.Text());
  return in.Number() == kForm && in.ok();
}

}  // namespace deferd
