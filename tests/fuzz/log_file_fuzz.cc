// Any bytes as a log file on disk, plain or gzip, in batches.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = memfd_create("log_file_fuzz", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
  auto file = deferd::LogFile::Open(absl::StrCat("/proc/self/fd/", fd));
  if (!file.ok()) std::abort();
  if (size > 0 && data[0] % 2 == 0) (*file)->head();
  const auto reader = deferd::NewEximReader({.zone = absl::UTCTimeZone()});
  deferd::EventBatch batch;
  while (true) {
    batch.Clear();
    const auto more = (*file)->Read(reader.get(), 2, &batch);
    if (!more.ok() || !*more) break;
  }
  close(fd);
  return 0;
}
