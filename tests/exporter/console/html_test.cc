#include "exporter/console/html.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deferd {
namespace {

TEST(Html, NoTextBecomesMarkup) {
  const struct {
    const char* name;
    std::string text;
    const char* written;
  } kCases[] = {
      {"element", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
      {"quotes", "\"' onload='x", "&quot;&#39; onload=&#39;x"},
      {"entity", "&lt;b&gt;", "&amp;lt;b&amp;gt;"},
      {"control", std::string("a\0b\x1b[2J", 7),
       "a\xEF\xBF\xBD"
       "b\xEF\xBF\xBD[2J"},
      {"bidi", "gpj.\u202Eexe", "gpj.\uFFFDexe"},
      {"no UTF-8", "caf\xE9", "caf\uFFFD"},
      {"umlaut", "K\u00F6ln", "K\u00F6ln"},
  };
  for (const auto& one : kCases) {
    Html text, attribute;
    text.Put("p", one.text);
    EXPECT_EQ(text.text(), std::string("<p>") + one.written + "</p>") << one.name;
    attribute.Void("input", {{"value", one.text}});
    EXPECT_EQ(attribute.text(), std::string("<input value=\"") + one.written + "\">") << one.name;
  }
}

TEST(Html, AValueOfAnAddressStaysAValue) {
  for (const char* hostile :
       {"javascript:alert(1)", "//other.example/", "a&name=b#c", "a b+c%41"}) {
    Html html;
    html.Link(Url("/subject").With("name", hostile), "x");
    EXPECT_THAT(html.text(), testing::StartsWith("<a href=\"/subject?name="));
    for (const char* raw : {":a", "//o", "&amp;name", "#c", " b"}) {
      EXPECT_THAT(html.text(), testing::Not(testing::HasSubstr(raw))) << hostile;
    }
  }
  EXPECT_EQ(Url("/track").With("a", "1").With("b", "").With("c", "=&").text(),
            "/track?a=1&c=%3D%26");
}

TEST(Html, ElementsCloseInOrder) {
  Html html;
  {
    const Html::Scope list = html.InAs("ul", "x");
    const Html::Scope item = html.In("li");
    html.Text("a");
  }
  EXPECT_EQ(html.text(), "<ul class=\"x\"><li>a</li></ul>");
}

}  // namespace
}  // namespace deferd
