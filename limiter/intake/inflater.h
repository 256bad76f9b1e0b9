// Decompresses gzip data piece by piece. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_INFLATER_H_
#define DEFERD_LIMITER_INTAKE_INFLATER_H_

#include <zlib.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace deferd {

// The first bytes of a gzip file.
inline constexpr absl::string_view kGzipMagic = "\x1f\x8b";

// Inflates one or several gzip members.
class Inflater {
 public:
  Inflater() : buffer_(256 << 10) { ok_ = inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK; }
  ~Inflater() {
    if (ok_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Decompresses from the front of `*in`; false if the data is damaged. A rest of `*in` may be left
  // for the next call; `*out` is valid until then.
  bool Inflate(absl::string_view* in, absl::string_view* out) {
    *out = {};
    if (!ok_) return false;
    if (at_end_) {
      // Only zeros (tapes) or another member may follow the last member.
      if (!absl::StartsWith(kGzipMagic, in->substr(0, 1))) {
        const bool zeros = in->find_first_not_of('\0') == absl::string_view::npos;
        *in = {};
        return zeros;
      }
      if (inflateReset(&stream_) != Z_OK) return false;
      at_end_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in->data()));
    stream_.avail_in = static_cast<uInt>(in->size());
    stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_out = static_cast<uInt>(buffer_.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    in->remove_prefix(in->size() - stream_.avail_in);
    *out = absl::string_view(buffer_.data(), buffer_.size() - stream_.avail_out);
    at_end_ = result == Z_STREAM_END;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
  }

  // Whether the last member is complete.
  bool at_end() const { return at_end_; }

 private:
  z_stream stream_ = {};
  std::vector<char> buffer_;
  bool ok_ = false;
  bool at_end_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_INFLATER_H_
