#include "limiter/intake/exim_scan.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace deferd {
namespace {

bool IsIp(absl::string_view text) {
  return text.size() >= 2 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isxdigit(c) || c == ':' || c == '.';
         });
}

}  // namespace

size_t QuotedEnd(absl::string_view in) {
  for (size_t i = 1; i < in.size(); ++i) {
    if (in[i] == '\\') {
      ++i;
    } else if (in[i] == '"') {
      return i + 1;
    }
  }
  return 0;
}

bool TakeLooselyQuoted(absl::string_view* in, absl::string_view* content) {
  if (in->empty() || in->front() != '"') return false;
  for (size_t end = in->find('"', 1); end != absl::string_view::npos;
       end = in->find('"', end + 1)) {
    if (end + 1 == in->size() || (*in)[end + 1] == ' ' || (*in)[end + 1] == ':') {
      *content = in->substr(1, end - 1);
      in->remove_prefix(end + 1);
      return true;
    }
  }
  return false;
}

size_t AddressEnd(absl::string_view in, char stop) {
  bool word_begins = true;
  for (size_t i = 0; i < in.size(); ++i) {
    if (word_begins && in[i] == '"') {
      const size_t end = QuotedEnd(in.substr(i));
      if (end == 0) return absl::string_view::npos;
      i += end - 1;
      word_begins = false;
    } else if (in[i] == '\\' && i + 1 < in.size()) {
      ++i;
      word_begins = false;
    } else if (in[i] == stop) {
      return i;
    } else {
      word_begins = in[i] == '.';
    }
  }
  return in.size();
}

bool TakeBracketed(absl::string_view* in, absl::string_view* address) {
  if (in->empty() || in->front() != '<') return false;
  const size_t end = AddressEnd(in->substr(1), '>');
  if (end == absl::string_view::npos || end + 1 >= in->size()) return false;
  *address = in->substr(1, end);
  in->remove_prefix(end + 2);
  return true;
}

bool NextHostEnd(absl::string_view value, size_t after, HostEnd* end) {
  for (size_t open = value.find('[', after); open != absl::string_view::npos;
       open = value.find('[', open + 1)) {
    if (open != 0 && value[open - 1] != ' ') continue;
    const size_t close = value.find(']', open);
    if (close == absl::string_view::npos) return false;
    end->ip = value.substr(open + 1, close - open - 1);
    end->size = close + 1;
    if (!IsIp(end->ip)) continue;
    if (end->size < value.size() && value[end->size] == ':') {
      do {
        ++end->size;
      } while (end->size < value.size() && absl::ascii_isdigit(value[end->size]));
    }
    if (end->size == value.size() || value[end->size] == ' ') return true;
  }
  return false;
}

}  // namespace deferd
