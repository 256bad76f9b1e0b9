#include "limiter/store/shared_trouble.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr char kPayload[] = "deferd/shared-trouble";

absl::StatusCode CodeOf(SharedTrouble trouble) {
  switch (trouble) {
    case SharedTrouble::kSlow:
      return absl::StatusCode::kDeadlineExceeded;
    case SharedTrouble::kPassword:
    case SharedTrouble::kTls:
    case SharedTrouble::kWrongType:
    case SharedTrouble::kClaimed:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

absl::string_view SharedTroubleName(SharedTrouble trouble) {
  switch (trouble) {
    case SharedTrouble::kNone:
      return "none";
    case SharedTrouble::kGone:
      return "gone";
    case SharedTrouble::kSlow:
      return "slow";
    case SharedTrouble::kReadOnly:
      return "read-only";
    case SharedTrouble::kFull:
      return "out-of-memory";
    case SharedTrouble::kLoading:
      return "loading";
    case SharedTrouble::kPassword:
      return "password";
    case SharedTrouble::kWrongType:
      return "wrong-type";
    case SharedTrouble::kNotSaving:
      return "not-saving";
    case SharedTrouble::kNoMaster:
      return "no-master";
    case SharedTrouble::kClaimed:
      return "claimed";
    case SharedTrouble::kUnexpected:
      return "unexpected";
    case SharedTrouble::kTls:
      return "tls";
  }
  return "unexpected";
}

absl::Status TroubleStatus(SharedTrouble trouble, absl::string_view what) {
  absl::Status status(CodeOf(trouble),
                      absl::StrCat(SharedTroubleName(trouble), ": ", PrintableUtf8(what)));
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<int>(trouble))));
  return status;
}

SharedTrouble TroubleOf(const absl::Status& status) {
  if (status.ok()) return SharedTrouble::kNone;
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return SharedTrouble::kUnexpected;
  for (int number = 0; number < kSharedTroubles; ++number) {
    if (*payload == absl::StrCat(number)) return static_cast<SharedTrouble>(number);
  }
  return SharedTrouble::kUnexpected;
}

absl::Status TroubleAt(absl::string_view name, const absl::Status& status) {
  const SharedTrouble trouble = TroubleOf(status);
  if (trouble == SharedTrouble::kNone) return status;
  return TroubleStatus(
      trouble, absl::StrCat(name, ": ",
                            absl::StripPrefix(status.message(),
                                              absl::StrCat(SharedTroubleName(trouble), ": "))));
}

std::chrono::milliseconds RetryPause(SharedTrouble trouble) {
  return std::chrono::milliseconds(trouble == SharedTrouble::kSlow ? 9900 : 1900);
}

SharedTrouble TroubleOfRedisError(absl::string_view text) {
  static constexpr struct {
    const char* word;
    SharedTrouble trouble;
  } kWords[] = {
      {"READONLY", SharedTrouble::kReadOnly},    {"OOM", SharedTrouble::kFull},
      {"LOADING", SharedTrouble::kLoading},      {"WRONGPASS", SharedTrouble::kPassword},
      {"NOAUTH", SharedTrouble::kPassword},      {"NOPERM", SharedTrouble::kPassword},
      {"WRONGTYPE", SharedTrouble::kWrongType},  {"MISCONF", SharedTrouble::kNotSaving},
      {"NOREPLICAS", SharedTrouble::kNotSaving}, {"BUSY", SharedTrouble::kSlow},
      {"MASTERDOWN", SharedTrouble::kReadOnly},  {"UNBLOCKED", SharedTrouble::kReadOnly},
      {"CLUSTERDOWN", SharedTrouble::kNoMaster}, {"TRYAGAIN", SharedTrouble::kNoMaster},
      {"MOVED", SharedTrouble::kNoMaster},       {"ASK", SharedTrouble::kNoMaster},
  };
  const absl::string_view first = text.substr(0, text.find(' '));
  for (const auto& known : kWords) {
    if (first == known.word) return known.trouble;
  }
  // An AUTH that a server without users, or without a password, refuses; a script that may not do
  // what it does.
  for (const char* sign : {"AUTH", "password", "The user executing the script"}) {
    if (text.find(sign) != absl::string_view::npos) return SharedTrouble::kPassword;
  }
  return SharedTrouble::kUnexpected;
}

}  // namespace deferd
