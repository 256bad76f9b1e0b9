// Writes HTML in which no text can become markup.
//
// Names of elements and attributes are literals, checked while compiling: attributes that hold
// script or style (onclick, style, srcdoc) do not exist here, nor do elements whose content is not
// text (script, style). Every other text is a value, and is escaped where it is written. An
// attribute that holds an address takes a Url, whose path is a literal and whose parameters are
// percent-encoded, so that a value can name neither a scheme nor another host. Elements close in
// the order in which their scopes end.
//
// Not thread-safe. What is written is valid UTF-8 without control characters.

#ifndef DEFERD_EXPORTER_CONSOLE_HTML_H_
#define DEFERD_EXPORTER_CONSOLE_HTML_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace deferd {

// A name that is written in the program's text.
class Literal {
 public:
  consteval Literal(const char* text) : text_(text) {}  // NOLINT: made of literals alone
  constexpr const char* text() const { return text_; }

 private:
  const char* text_;
};

// An address on this server.
class Url {
 public:
  explicit Url(Literal path) : text_(path.text()) {}
  // Adds a segment to the path.
  Url& Then(absl::string_view segment);
  // Adds a parameter; an empty value is left out.
  Url& With(Literal name, absl::string_view value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool has_query_ = false;
};

namespace html_names {
constexpr bool Same(const char* a, const char* b) {
  for (; *a != '\0' && *a == *b; ++a, ++b) {
  }
  return *a == *b;
}
constexpr bool IsUrl(const char* name) {
  for (const char* one : {"href", "action", "src", "formaction"}) {
    if (Same(name, one)) return true;
  }
  return false;
}
constexpr bool IsForbidden(const char* name) {
  return (name[0] == 'o' && name[1] == 'n') || Same(name, "style") || Same(name, "srcdoc");
}
// Their content is no text.
constexpr bool IsForbiddenElement(const char* name) {
  for (const char* one : {"script", "style", "iframe", "object", "embed", "base", "template"}) {
    if (Same(name, one)) return true;
  }
  return false;
}
void NoSuchAttribute();  // not constant, so calling it stops the compiler
void NoSuchElement();
}  // namespace html_names

class ElementName {
 public:
  consteval ElementName(const char* text) : text_(text) {  // NOLINT
    if (html_names::IsForbiddenElement(text)) html_names::NoSuchElement();
  }
  constexpr const char* text() const { return text_; }

 private:
  const char* text_;
};

class AttributeName {
 public:
  consteval AttributeName(const char* text) : text_(text) {  // NOLINT
    if (html_names::IsForbidden(text) || html_names::IsUrl(text)) html_names::NoSuchAttribute();
  }
  constexpr const char* text() const { return text_; }

 private:
  const char* text_;
};

struct Attribute {
  Attribute(AttributeName name_in, absl::string_view value_in)
      : name(name_in.text()), value(value_in) {}
  Attribute(AttributeName name_in, int64_t number);

  const char* name;
  std::string value;
};
using Attributes = std::vector<Attribute>;

class Html {
 public:
  // Closes its element when it ends.
  class [[nodiscard]] Scope {
   public:
    Scope(Html* html, const char* name) : html_(html), name_(name) {}
    Scope(Scope&& other) noexcept
        : html_(std::exchange(other.html_, nullptr)), name_(other.name_) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope();

   private:
    Html* html_;
    const char* name_;
  };

  Scope In(ElementName element, const Attributes& attributes = {});
  Scope InAs(ElementName element, Literal css_class) {
    return In(element, {{"class", css_class.text()}});
  }
  // An element with text alone.
  void Put(ElementName element, absl::string_view text, const Attributes& attributes = {});
  void PutAs(ElementName element, Literal css_class, absl::string_view text) {
    Put(element, text, {{"class", css_class.text()}});
  }
  // An element that has no content: input, meta.
  void Void(ElementName element, const Attributes& attributes);

  void Link(const Url& to, absl::string_view text, const Attributes& attributes = {});
  Scope InLink(const Url& to, const Attributes& attributes = {});
  Scope InForm(Literal method, const Url& to, const Attributes& attributes = {});
  void Script(const Url& source);
  void Style(const Url& source);

  void Text(absl::string_view text);
  void Text(int64_t number);
  // Text of several lines, which stay lines: for `pre` and `textarea`, which drops a first break.
  void Lines(absl::string_view text);
  // The page's first line.
  void Doctype() { out_ += "<!doctype html>\n"; }

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  void Begin(const char* element, const Attributes& attributes, const Url* url = nullptr,
             const char* url_name = nullptr);

  std::string out_;
};

// Escaped for a part of a URL (RFC 3986, unreserved characters stay).
std::string EscapeUrl(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_HTML_H_
