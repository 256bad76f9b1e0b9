#include "limiter/port/connection_shares.h"

#include <cstddef>

namespace deferd {

ConnectionShares::Slot* ConnectionShares::FrontOf(const Peer& peer, TimePoint now) const {
  if (peer.empty() || now - peer.front()->used_ < limits_.evict_after) return nullptr;
  return peer.front();
}

ConnectionShares::Slot* ConnectionShares::Idlest(TimePoint now) const {
  const Peer* greediest = nullptr;
  for (const auto& [uid, peer] : peers_) {
    if (greediest == nullptr || peer.size() > greediest->size()) greediest = &peer;
  }
  return greediest == nullptr ? nullptr : FrontOf(*greediest, now);
}

ConnectionShares::Entry ConnectionShares::Admit(int64_t peer, bool trusted, TimePoint now) const {
  if (!trusted && limits_.per_peer > 0) {
    auto found = peers_.find(peer);
    if (found != peers_.end() && found->second.size() >= static_cast<size_t>(limits_.per_peer)) {
      Slot* own = FrontOf(found->second, now);
      return {own != nullptr, own};
    }
  }
  const bool full =
      size() >= limits_.most || (!trusted && others_ >= limits_.most - limits_.reserved);
  if (!full) return {true, nullptr};
  Slot* idlest = Idlest(now);
  return {idlest != nullptr, idlest};
}

void ConnectionShares::Add(Slot* slot, int64_t peer, bool trusted, TimePoint now) {
  slot->peer_ = peer;
  slot->trusted_ = trusted;
  slot->used_ = now;
  Peer& list = trusted ? trusted_slots_ : peers_[peer];
  slot->at_ = list.insert(list.end(), slot);
  ++(trusted ? trusted_ : others_);
}

void ConnectionShares::Used(Slot* slot, TimePoint now) {
  slot->used_ = now;
  Peer& list = slot->trusted_ ? trusted_slots_ : peers_[slot->peer_];
  list.splice(list.end(), list, slot->at_);
}

void ConnectionShares::Remove(Slot* slot) {
  if (slot->trusted_) {
    trusted_slots_.erase(slot->at_);
    --trusted_;
    return;
  }
  auto peer = peers_.find(slot->peer_);
  peer->second.erase(slot->at_);
  if (peer->second.empty()) peers_.erase(peer);
  --others_;
}

}  // namespace deferd
