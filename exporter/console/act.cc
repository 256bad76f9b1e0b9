#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exporter/console/pages.h"

namespace deferd {
namespace {

struct Action {
  absl::string_view name;
  absl::string_view resource;  // of POST
  std::vector<const char*> takes;
};

const std::vector<Action>& Actions() {
  static const auto& actions = *new std::vector<Action>{
      {"unblock", "/subjects/{subject}/unblock", {"reason", "held"}},
      {"block", "/subjects/{subject}/block", {"for", "reason"}},
      {"exempt", "/exemptions", {"subject", "for", "reason"}},
      {"unexempt", "/exemptions/remove", {"subject", "reason"}},
      {"release", "/queue/release", {"subject", "id"}},
      {"requeue", "/queue/requeue", {"id"}},
      {"redirect", "/queue/redirect", {"id", "address"}},
      {"discard", "/queue/discard", {"id"}},
      {"flush", "/queue/flush", {}},
      {"reload", "/reload", {}},
  };
  return actions;
}

Url After(const std::string& name, const Form& form) {
  if (name == "reload") return Url("/policy");
  if (!form.Get("id").empty()) return MessageUrl(form.Get("id")).With("done", "1");
  if (!form.Get("subject").empty()) return SubjectUrl(form.Get("subject")).With("done", "1");
  return Url("/queue").With("done", "1");
}

}  // namespace

HttpReply Act(const Visitor& visitor, const Form& form) {
  const std::string name = form.Get("do");
  const std::string subject = form.Get("subject");
  absl::Status status = absl::InvalidArgumentError("this form asks for nothing that is known");
  for (const Action& one : Actions()) {
    if (one.name != name) continue;
    Json args = Json::object();
    for (const char* field : one.takes) {
      const std::string value(absl::StripAsciiWhitespace(form.Get(field)));
      if (!value.empty()) args[field] = value;
    }
    status = visitor.Post(one.resource, std::move(args), subject).status();
  }
  if (status.ok()) return RedirectTo(After(name, form));
  HttpReply reply = PageReply(visitor, "", "Not done", [&](Html* html) {
    html->Put("h1", "Not done");
    WriteProblem(html, status);
    const std::string id = form.Get("id");
    if (!id.empty()) {
      const Html::Scope back = html->In("p");
      html->Text("Back to ");
      html->Link(MessageUrl(id), absl::StrCat("message ", id));
    } else if (!subject.empty()) {
      const Html::Scope back = html->In("p");
      html->Text("Back to ");
      WriteSubject(html, subject);
    }
  });
  reply.code = status.code() == absl::StatusCode::kPermissionDenied ? 403 : 409;
  reply.reason = reply.code == 403 ? "Forbidden" : "Conflict";
  return reply;
}

}  // namespace deferd
