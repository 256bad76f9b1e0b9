#include "limiter/queue/queue_helpers.h"

#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/queue_list.h"

namespace deferd {

absl::StatusOr<Json> CallQueueHelper(const std::string& socket, const std::string& verb,
                                     const Json& args, absl::Duration limit) {
  absl::StatusOr<Json> answer = CallDaemon(socket, verb, args, limit);
  if (answer.ok() || absl::IsFailedPrecondition(answer.status())) return answer;
  // CallDaemon's message gives advice about deferd's own socket.
  absl::string_view why = answer.status().message();
  why = why.substr(0, why.find("; is it running"));
  absl::ConsumePrefix(&why, absl::StrCat(socket, ": cannot connect to deferd "));
  return absl::Status(answer.status().code(),
                      absl::StrCat("deferd-queue does not answer at ", socket, " ", why,
                                   "; check systemctl status deferd-queue"));
}

namespace {

bool IsBelow(absl::string_view path, absl::string_view folder) {
  return !folder.empty() && absl::ConsumePrefix(&path, folder) && absl::StartsWith(path, "/");
}

}  // namespace

QueueHelpers::QueueHelpers(std::vector<std::string> sockets, CallOne call)
    : sockets_(std::move(sockets)), call_(std::move(call)) {
  {
    MutexLock lock(&reach_mutex_);
    reach_.resize(sockets_.size());
  }
  MutexLock lock(&mutex_);
  for (const std::string& socket : sockets_) {
    helpers_.push_back({.socket = socket, .listed = std::nullopt, .problem = ""});
  }
}

absl::StatusOr<std::vector<QueuedMail>> QueueHelpers::List(absl::Duration limit) {
  std::vector<QueuedMail> all;
  absl::flat_hash_map<std::string, size_t> helper_of;
  absl::Status never;
  for (size_t i = 0; i < sockets_.size(); ++i) {
    absl::StatusOr<Json> listing = call_(sockets_[i], "list", Json::object(), limit);
    std::optional<std::vector<QueuedMail>> listed;
    if (listing.ok()) listed = QueueFromJson(*listing);
    {
      MutexLock lock(&reach_mutex_);
      reach_[i].answers = listing.ok();
    }
    MutexLock lock(&mutex_);
    Helper& helper = helpers_[i];
    helper.problem = std::string(listing.status().message());
    if (listed.has_value()) helper.listed = *std::move(listed);
    if (!helper.listed.has_value()) {
      never.Update(listing.status());
      continue;
    }
    for (const QueuedMail& mail : *helper.listed) {
      if (!helper_of.try_emplace(mail.id, i).second) continue;
      all.push_back(mail);
      all.back().helper = helper.socket;
    }
  }
  MutexLock lock(&mutex_);
  helper_of_ = std::move(helper_of);
  if (!never.ok()) return never;
  // With a single helper there is no other queue to continue with.
  if (sockets_.size() == 1 && !helpers_[0].problem.empty()) {
    return absl::UnavailableError(helpers_[0].problem);
  }
  return all;
}

size_t QueueHelpers::HelperOf(const std::string& id) const {
  const auto found = helper_of_.find(id);
  return found == helper_of_.end() ? helpers_.size() : found->second;
}

absl::StatusOr<Json> QueueHelpers::CallByIds(const std::string& verb, const Json& args,
                                             const Json& ids, absl::Duration limit) {
  std::vector<std::vector<std::string>> of_helper(sockets_.size());
  {
    MutexLock lock(&mutex_);
    for (const Json& id : ids) {
      const std::string text = id.is_string() ? id.get<std::string>() : "";
      const size_t at = HelperOf(text);
      // An id that nobody has listed goes to all; helpers ignore unknown ids.
      for (size_t i = 0; i < of_helper.size(); ++i) {
        if (at == i || at == of_helper.size()) of_helper[i].push_back(text);
      }
    }
  }
  Json not_done = Json::object();
  absl::Status error;
  bool answered = false;
  for (size_t i = 0; i < of_helper.size(); ++i) {
    if (of_helper[i].empty()) continue;
    Json request = args;
    request["ids"] = of_helper[i];
    absl::StatusOr<Json> answer = call_(sockets_[i], verb, request, limit);
    if (answer.ok()) {
      answered = true;
      not_done.update(answer->value("not_done", Json::object()));
      continue;
    }
    error.Update(answer.status());
    for (const std::string& id : of_helper[i]) {
      not_done[id] = std::string(answer.status().message());
    }
  }
  if (!error.ok() && !answered) return error;
  return Json{{"not_done", std::move(not_done)}};
}

absl::StatusOr<Json> QueueHelpers::Call(const std::string& verb, const Json& args,
                                        absl::Duration limit) {
  const auto ids = args.find("ids");
  if (ids != args.end() && sockets_.size() > 1) return CallByIds(verb, args, *ids, limit);
  const std::string id = QueueField(args, "id");
  size_t only = sockets_.size();
  if (!id.empty()) {
    MutexLock lock(&mutex_);
    only = HelperOf(id);
  }
  Json first = nullptr;
  absl::Status error;
  bool any = false;
  for (size_t i = 0; i < sockets_.size(); ++i) {
    if (only != sockets_.size() && only != i) continue;
    absl::StatusOr<Json> answer = call_(sockets_[i], verb, args, limit);
    if (!answer.ok()) {
      error.Update(answer.status());
      continue;
    }
    if (verb == "defer") {
      if (answer->is_object() && answer->contains("postfix") && (*answer)["postfix"].is_string()) {
        MutexLock lock(&reach_mutex_);
        reach_[i].postfix = QueueField(*answer, "postfix");
      }
      MutexLock lock(&mutex_);
      helpers_[i].sender_table =
          answer->is_object() ? answer->value("table", Json(nullptr)) : Json(nullptr);
    }
    const bool empty = !first.is_object() || first.value("table", Json(nullptr)).is_null();
    if (!any || (empty && verb == "defer")) first = *std::move(answer);
    any = true;
  }
  // A message is in one queue: if one helper has succeeded, errors of the others do not matter.
  if (!error.ok() && !(any && !id.empty())) return error;
  return first;
}

bool QueueHelpers::ReleasesPostfix(absl::string_view door,
                                   const std::vector<std::string>& doors) const {
  MutexLock lock(&reach_mutex_);
  bool any = false, all = true;
  for (const Reach& one : reach_) {
    if (one.postfix.has_value() && one.postfix->empty()) continue;
    const std::string folder = one.postfix.value_or("");
    if (IsBelow(door, folder)) return one.answers;
    if (absl::c_any_of(doors, [&](const auto& other) { return IsBelow(other, folder); })) continue;
    any = true;
    all = all && one.answers;
  }
  return any && all;
}

std::string QueueHelpers::problem() const {
  MutexLock lock(&mutex_);
  for (const Helper& helper : helpers_) {
    if (!helper.problem.empty()) return helper.problem;
  }
  return "";
}

Json QueueHelpers::StatusJson() const {
  std::vector<Reach> reach;
  {
    MutexLock lock(&reach_mutex_);
    reach = reach_;
  }
  MutexLock lock(&mutex_);
  Json list = Json::array();
  for (size_t i = 0; i < helpers_.size(); ++i) {
    const Helper& helper = helpers_[i];
    const std::optional<std::string>& postfix = reach[i].postfix;
    list.push_back({{"helper", helper.socket},
                    {"postfix", postfix.has_value() ? Json(*postfix) : Json(nullptr)},
                    {"problem", helper.problem.empty() ? Json(nullptr) : Json(helper.problem)},
                    {"sender_table", helper.sender_table}});
  }
  return list;
}

std::string QueueHelpers::names() const { return absl::StrJoin(sockets_, ", "); }

}  // namespace deferd
