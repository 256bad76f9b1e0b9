// Any bytes as a stored row of the outbox: what is read is written and read again as the same, and
// its mail and its event are what a mail server and a receiver take. Any bytes as a list of owners.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/message.h"
#include "limiter/config/notice_config.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/outbox.h"
#include "policy/domain_name.h"
#include "policy/toml_reader.h"
#include "tests/fuzz/fuzzing.h"

namespace deferd {
namespace {

// A mail has lines of ASCII that end in CRLF, and one header.
void Check(const NoticeMessage& message) {
  const std::string mail = MailText(message,
                                    {.from = "deferd@mx.example",
                                     .to = "postmaster@mx.example",
                                     .host = "mx.example",
                                     .language = "en"},
                                    absl::FromUnixSeconds(1'764'000'000));
  const size_t body = mail.find("\r\n\r\n");
  Require(body != std::string::npos);
  for (size_t i = 0; i < body; ++i) {
    const auto c = static_cast<unsigned char>(mail[i]);
    Require(c < 0x7f && (c >= 0x20 || c == '\r' || c == '\n' || c == '\t'));
    Require((c == '\n') == (i > 0 && mail[i - 1] == '\r'));
  }
}

void ReadRow(absl::string_view bytes) {
  const absl::StatusOr<Notice> notice = ParseNotice("0badcafe-7-3:opened", bytes);
  Outbox outbox;
  const StoredText stored = {"0badcafe-7-3:opened", std::string(bytes)};
  Require(outbox.Restore(stored).ok() == notice.ok());
  if (!notice.ok()) return;
  const std::string again = NoticeText(*notice);
  Require(NoticeText(*ParseNotice(notice->id, again)) == again);
  for (const char* language : {"en", "de"}) {
    Check(MessageOf(*notice, nullptr, 2, language));
    Check(StormMessage({*notice, *notice}, language));
  }
  Require(Json::accept(Dump(EventJson(*notice, nullptr, "0badcafe"))));
}

void ReadOwners(absl::string_view bytes) {
  const int fd = memfd_create("notice_fuzz", MFD_CLOEXEC);
  Require(fd >= 0 && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const std::string toml =
      absl::StrCat("[notice.n]\ntype = \"mail\"\nowners = [\"/proc/self/fd/", fd, "\"]\n");
  const absl::StatusOr<std::unique_ptr<TomlReader>> reader = TomlReader::Parse(toml, "fuzz.toml");
  Require(reader.ok());
  std::vector<std::string> warnings;
  const std::vector<NoticeSink> sinks =
      ReadNoticeSinks(reader->get(), (*reader)->root(), &warnings);
  for (const NoticeSink& sink : sinks) {
    for (const auto& [domain, owner] : sink.owners) {
      Require(DomainName::Parse(domain).ok() && owner.address.find('@') != std::string::npos);
    }
  }
  (*reader)->Finish().IgnoreError();
  close(fd);
}

}  // namespace
}  // namespace deferd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::ReadRow(bytes);
  deferd::ReadOwners(bytes);
  return 0;
}
