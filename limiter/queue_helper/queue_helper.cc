#include "limiter/queue_helper/queue_helper.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/clock.h"
#include "limiter/port/log.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kSettingKept = absl::Minutes(1);
constexpr size_t kMaxLogged = 10;  // ids

std::vector<std::string> IdsArg(const Json& args) {
  std::vector<std::string> ids;
  const auto found = args.find("ids");
  if (found == args.end() || !found->is_array()) return ids;
  for (const Json& id : *found) ids.push_back(id.is_string() ? id.get<std::string>() : "");
  return ids;
}

// "1xU000-000001-11 1xU000-000001-12 and 998 more": one request must not fill the log.
std::string LoggedIds(std::vector<std::string> ids) {
  const size_t all = ids.size();
  ids.resize(std::min(all, kMaxLogged));
  return absl::StrCat(absl::StrJoin(ids, " "),
                      all > ids.size() ? absl::StrCat(" and ", all - ids.size(), " more") : "");
}

constexpr size_t kMaxLoggedText = 1000;

}  // namespace

// A daemon that has gone wild, or was taken over, must not keep the machine busy as root.
absl::Status QueueHelper::TakeRequest() {
  const absl::Duration now = Elapsed();
  const double passed = absl::ToDoubleSeconds(now - requests_at_);
  requests_left_ = std::min(kBurst, requests_left_ + passed * kPerSecond);
  requests_at_ = now;
  if (requests_left_ < 1) {
    return absl::ResourceExhaustedError("too many requests; try again in a few seconds");
  }
  requests_left_ -= 1;
  return absl::OkStatus();
}

absl::StatusOr<Json> QueueHelper::Handle(const std::string& verb, const Json& args,
                                         const Peer& peer) {
  if (!IsAllowed(peer))
    return absl::PermissionDeniedError("only deferd and root may send requests");
  if (peer.uid != 0) {
    if (absl::Status taken = TakeRequest(); !taken.ok()) return taken;
  }
  if (verb == "list") {
    absl::StatusOr<std::vector<QueuedMail>> queue = queue_.List();
    if (!queue.ok()) return queue.status();
    return QueueToJson(*queue);
  }
  if (verb == "defer" || verb == "put_off") return SetDeferred(args);
  const bool redirect = verb == "redirect";
  if (verb == "discard" || redirect) {
    if (peer.uid != 0 && !options_.allow_deferd) {
      return absl::PermissionDeniedError(absl::StrCat(
          verb,
          ": only root may do this; --allow-deferd in DEFERD_QUEUE_OPTIONS allows it to "
          "admins of the web console"));
    }
    if (!(redirect ? options_.allow_redirect : options_.allow_discard)) {
      return absl::PermissionDeniedError(
          absl::StrCat(verb, " is disabled; add --allow-", verb,
                       " to DEFERD_QUEUE_OPTIONS in /etc/default/deferd-queue and restart "
                       "deferd-queue"));
    }
  }
  if (verb == "give_back" && options_.deny_give_back) {
    return absl::PermissionDeniedError(
        "give_back is disabled by --deny-give-back in DEFERD_QUEUE_OPTIONS; held messages stay "
        "held");
  }
  const absl::StatusOr<MtaQueue::NotDone> not_done = Do(verb, args);
  const std::string what = absl::StrCat(verb, " ", LoggedIds(IdsArg(args)), QueueField(args, "id"),
                                        " ", QueueField(args, "address"))
                               .substr(0, kMaxLoggedText);
  std::string result = "done";
  if (!not_done.ok()) {
    result = std::string(not_done.status().message());
  } else if (!not_done->empty()) {
    result = absl::StrCat("NOT DONE for ", not_done->size(), ": ", not_done->begin()->first, ": ",
                          not_done->begin()->second);
  }
  spdlog::info("{} by uid {}: {}", PrintableUtf8(what), peer.uid, result);
  if (!not_done.ok()) return not_done.status();
  return Json{{"not_done", *not_done}};
}

const std::string& QueueHelper::Read(Setting* setting) {
  const absl::Duration now = Elapsed();
  if (now - setting->read_at >= kSettingKept) {
    setting->read_at = now;
    setting->text = (queue_.*setting->read)();
  }
  return setting->text;
}

absl::StatusOr<Json> QueueHelper::SetDeferred(const Json& args) {
  Json answer = {{"table", nullptr}, {"postfix", ""}};
  if (!options_.programs.postfix.empty()) {
    const std::string& folder = Read(&folder_);
    answer["postfix"] = folder.empty() ? Json(nullptr) : Json(folder);
  }
  if (options_.sender_table == nullptr) return answer;
  const auto domains = args.find("domains");
  const auto users = args.find("users");
  if (domains == args.end() || !domains->is_object() ||
      (users != args.end() && !users->is_object())) {
    return absl::InvalidArgumentError("defer: \"domains\" and \"users\" must be objects");
  }
  std::map<std::string, std::string> senders;
  for (const auto& [domain, why] : domains->items()) {
    senders[absl::StrCat("@", domain)] = why.is_string() ? why.get<std::string>() : "";
  }
  const Json named = users == args.end() ? Json::object() : *users;
  const std::string origin = named.empty() ? "" : Read(&origin_);
  for (const auto& [user, why] : named.items()) {
    if (!IsUserKey(user)) continue;  // one invalid name must not block the others
    const std::string text = why.is_string() ? why.get<std::string>() : "";
    senders[user] = text;
    if (!origin.empty()) senders[absl::StrCat(user, "@", origin)] = text;
  }
  const absl::Status set = options_.sender_table->Set(senders);
  if (!set.ok()) {
    spdlog::warn("cannot update the sender table: {}", set.message());
    return set;
  }
  answer["table"] = options_.sender_table->path();
  return answer;
}

absl::StatusOr<MtaQueue::NotDone> QueueHelper::Do(const std::string& verb, const Json& args) {
  if (verb == "hold") return queue_.Hold(IdsArg(args));
  if (verb == "release") return queue_.Release(IdsArg(args));
  if (verb == "give_back") return queue_.GiveBack(IdsArg(args));
  if (verb == "discard") return queue_.Discard(IdsArg(args));
  absl::Status done = absl::InvalidArgumentError(
      absl::StrCat("verb ", Quoted(verb.substr(0, 40)), " is not supported by deferd-queue"));
  if (verb == "try") done = queue_.Try(IdsArg(args));
  if (verb == "requeue") done = queue_.Requeue(QueueField(args, "id"));
  if (verb == "flush") done = queue_.Flush();
  if (verb == "redirect") {
    done = queue_.Redirect(QueueField(args, "id"), QueueField(args, "address"));
  }
  if (!done.ok()) return done;
  return MtaQueue::NotDone();
}

}  // namespace deferd
