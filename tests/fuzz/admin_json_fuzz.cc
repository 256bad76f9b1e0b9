// Any bytes on the admin socket, in any split: the same answers as in one piece, each a line of
// JSON. The arguments go through what the verbs read them with. The first byte chooses the split.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/admin/record.h"
#include "limiter/admin/track_args.h"
#include "limiter/localrpc/admin_session.h"
#include "limiter/localrpc/json.h"
#include "policy/attempt.h"
#include "tests/fuzz/fuzzing.h"

namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'764'000'000);

absl::StatusOr<deferd::Json> Handle(const std::string& verb, const deferd::Json& args,
                                    const deferd::Peer&) {
  const std::string text = deferd::Dump(args);
  deferd::Require(deferd::Json::parse(text) == args);
  deferd::Require(text.find('\n') == std::string::npos);
  deferd::TimeArgs(args, kNow).IgnoreError();
  deferd::TextArg(args, "subject").IgnoreError();
  deferd::WholeArg(args, "limit", 1).IgnoreError();
  deferd::EventBatch batch;
  const absl::Status added = deferd::AddRecord(args, kNow, &batch);
  if (!added.ok()) return added;
  deferd::Require(batch.size() > 0);
  return deferd::Json{{"verb", verb}, {"events", batch.size()}};
}

std::string Answers(absl::string_view bytes, size_t piece_size) {
  deferd::AdminSession session(deferd::Peer{}, Handle);
  return deferd::Talk(&session, bytes, piece_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = Answers(bytes, std::max<size_t>(1, bytes.size()));
  deferd::Require(Answers(bytes, size_t{data[0]} + 1) == whole);
  for (absl::string_view line : absl::StrSplit(whole, '\n', absl::SkipEmpty())) {
    const deferd::Json answer = deferd::Json::parse(line.begin(), line.end());
    deferd::Require(answer.is_object() && answer.contains("ok"));
  }
  return 0;
}
