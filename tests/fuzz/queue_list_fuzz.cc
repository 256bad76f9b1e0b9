// Any bytes as an MTA's queue listing and as the root helper's answer: what is read can be written
// and read again, and every id has the form of a queue id.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queue_list.h"
#include "policy/json_limits.h"
#include "policy/message_id.h"
#include "tests/fuzz/fuzzing.h"

namespace {

void WriteAndRead(const std::vector<deferd::QueuedMail>& queue) {
  const deferd::Json written = deferd::QueueToJson(queue);
  deferd::Require(deferd::QueueToJson(deferd::QueueFromJson(written)) == written);
  deferd::Dump(written);  // texts that are no UTF-8 too
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (bool held : {false, true}) {
    std::vector<deferd::QueuedMail> queue;
    deferd::AddEximQueue(bytes, held, &queue);
    for (const deferd::QueuedMail& mail : queue) deferd::Require(deferd::IsEximId(mail.id));
    WriteAndRead(queue);
  }
  std::vector<deferd::QueuedMail> queue;
  deferd::AddPostfixQueue(bytes, &queue);
  for (const deferd::QueuedMail& mail : queue) {
    deferd::Require(mail.recipients.size() <= deferd::kMaxRecipients);
  }
  WriteAndRead(queue);

  if (!deferd::JsonWithinLimits(bytes, {})) return 0;
  const deferd::Json answer = deferd::Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (!answer.is_discarded()) WriteAndRead(deferd::QueueFromJson(answer));
  return 0;
}
