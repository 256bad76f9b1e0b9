#include "exporter/api/form.h"

#include <algorithm>

#include "absl/strings/str_split.h"

namespace deferd {

std::optional<std::string> Decoded(absl::string_view text, bool query) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && query) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = digit(text[i + 1]), low = digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
    if (out.back() == '\0') return std::nullopt;
  }
  return out;
}

std::optional<Form> Form::Parse(absl::string_view text, bool lists) {
  Form form;
  for (absl::string_view pair : absl::StrSplit(text, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::optional<std::string> name = Decoded(parts.first, /*query=*/true);
    std::optional<std::string> value = Decoded(parts.second, /*query=*/true);
    if (!name.has_value() || name->empty() || !value.has_value()) return std::nullopt;
    if (!lists && !form.All(*name).empty()) return std::nullopt;
    form.fields_.emplace_back(*std::move(name), *std::move(value));
  }
  return form;
}

std::string Form::Get(absl::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (name == key) return value;
  }
  return "";
}

bool Form::Has(absl::string_view name, absl::string_view value) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const auto& one) { return name == one.first && value == one.second; });
}

std::vector<std::string> Form::All(absl::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields_) {
    if (name == key) values.push_back(value);
  }
  return values;
}

}  // namespace deferd
