#include "limiter/localrpc/admin_session.h"

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

std::string ErrorLine(absl::string_view message) {
  return Dump(Json{{"ok", false}, {"error", std::string(message)}}) + "\n";
}

}  // namespace

bool AdminSession::OnBytes(absl::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const absl::string_view piece = bytes.substr(0, end);
    if (partial_.size() + piece.size() > options_.limits.max_bytes) {
      *out +=
          ErrorLine(absl::StrCat("request is longer than ", options_.limits.max_bytes, " bytes"));
      partial_.clear();
      return false;
    }
    absl::StrAppend(&partial_, piece);
    if (end == absl::string_view::npos) return true;
    if (out->size() > kMaxUnread) {
      *out += ErrorLine("too many pending requests: read the answers before sending more");
      partial_.clear();
      return false;
    }
    Answer(partial_, out);
    partial_.clear();
    if (options_.one_request) return false;
    bytes.remove_prefix(end + 1);
  }
  return true;
}

void AdminSession::OnEnd(std::string* out) {
  if (!partial_.empty()) Answer(partial_, out);
  partial_.clear();
}

void AdminSession::Answer(absl::string_view line, std::string* out) {
  if (!JsonWithinLimits(line, options_.limits)) {
    *out += ErrorLine("invalid request: nested too deeply, or too many values");
    return;
  }
  const Json request = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string()) {
    *out += ErrorLine("invalid request: expected {\"verb\": ..., \"args\": {...}} on one line");
    return;
  }
  Json args = Json::object();
  if (request.contains("args") && request["args"].is_object()) args = request["args"];
  absl::StatusOr<Json> result = handler_(request["verb"].get<std::string>(), args, peer_);
  if (result.ok()) {
    *out += Dump(Json{{"ok", true}, {"result", *std::move(result)}}) + "\n";
  } else {
    *out += ErrorLine(result.status().message());
  }
}

}  // namespace deferd
