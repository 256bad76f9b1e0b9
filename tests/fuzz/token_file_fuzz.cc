// Any bytes as the API's file of tokens: refused whole, or tokens that are each whole.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "exporter/api/token_book.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = memfd_create("token_file_fuzz", MFD_CLOEXEC);
  deferd::Require(fd >= 0 && write(fd, data, size) == static_cast<ssize_t>(size));
  const deferd::TokenBook book(absl::StrCat("/proc/self/fd/", fd));
  for (const deferd::Token& token : book.List()) {
    deferd::Require(!token.name.empty() && token.hash.size() == 64);
    deferd::Require(book.FindByHash(token.hash, absl::InfinitePast()).has_value());
    token.Sees({deferd::SubjectKind::kLogin, "a@b.example"});
  }
  close(fd);
  return 0;
}
