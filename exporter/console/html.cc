#include "exporter/console/html.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/html_text.h"

namespace deferd {

std::string EscapeUrl(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

Url& Url::Then(absl::string_view segment) {
  text_ += EscapeUrl(segment);
  return *this;
}

Url& Url::With(Literal name, absl::string_view value) {
  if (value.empty()) return *this;
  absl::StrAppend(&text_, has_query_ ? "&" : "?", name.text(), "=", EscapeUrl(value));
  has_query_ = true;
  return *this;
}

Attribute::Attribute(AttributeName name_in, int64_t number)
    : name(name_in.text()), value(absl::StrCat(number)) {}

Html::Scope::~Scope() {
  if (html_ != nullptr) absl::StrAppend(&html_->out_, "</", name_, ">");
}

void Html::Begin(const char* element, const Attributes& attributes, const Url* url,
                 const char* url_name) {
  absl::StrAppend(&out_, "<", element);
  if (url != nullptr) absl::StrAppend(&out_, " ", url_name, "=\"", EscapeHtml(url->text()), "\"");
  for (const Attribute& one : attributes) {
    absl::StrAppend(&out_, " ", one.name, "=\"", EscapeHtml(one.value), "\"");
  }
  out_ += ">";
}

Html::Scope Html::In(ElementName element, const Attributes& attributes) {
  Begin(element.text(), attributes);
  return {this, element.text()};
}

void Html::Put(ElementName element, absl::string_view text, const Attributes& attributes) {
  const Scope scope = In(element, attributes);
  Text(text);
}

void Html::Void(ElementName element, const Attributes& attributes) {
  Begin(element.text(), attributes);
}

void Html::Link(const Url& to, absl::string_view text, const Attributes& attributes) {
  const Scope scope = InLink(to, attributes);
  Text(text);
}

Html::Scope Html::InLink(const Url& to, const Attributes& attributes) {
  Begin("a", attributes, &to, "href");
  return {this, "a"};
}

Html::Scope Html::InForm(Literal method, const Url& to, const Attributes& attributes) {
  Attributes all = {{"method", method.text()}};
  all.insert(all.end(), attributes.begin(), attributes.end());
  Begin("form", all, &to, "action");
  return {this, "form"};
}

void Html::Script(const Url& source) {
  Begin("script", {{"defer", ""}}, &source, "src");
  out_ += "</script>";
}

void Html::Style(const Url& source) { Begin("link", {{"rel", "stylesheet"}}, &source, "href"); }

void Html::Text(absl::string_view text) { out_ += EscapeHtml(text); }
void Html::Lines(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    absl::ConsumeSuffix(&line, "\r");
    absl::StrAppend(&out_, "\n", EscapeHtml(line));
  }
}
void Html::Text(int64_t number) { absl::StrAppend(&out_, number); }

}  // namespace deferd
