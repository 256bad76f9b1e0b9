// The resources of `/api/v1`, in one table: the server answers from it, and the OpenAPI description
// is made from it.
//
// A resource calls one of the daemon's verbs (limiter/admin/admin_api.h). The verbs' own table says
// which of them change something; the table here adds who may, and whether a token for some domains
// may at all. Pure.

#ifndef DEFERD_EXPORTER_API_RESOURCES_H_
#define DEFERD_EXPORTER_API_RESOURCES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "exporter/api/token_book.h"
#include "limiter/localrpc/json.h"

namespace deferd {

inline constexpr char kApiRoot[] = "/api/v1";
// Below it, with an id: what became of an act that was answered 202 (late_results.h).
inline constexpr char kLatePath[] = "/late/";

enum class ParameterType { kText, kWhole, kFlag };

// In the query of a GET, in the JSON body of a POST.
struct Parameter {
  const char* name;
  ParameterType type;
  bool required;
  const char* help;
};

// What a token for some domains gets.
enum class ResourceScope {
  kAnyone,   // all: it shows nothing of anybody
  kServer,   // nothing: the resource shows or changes the whole server
  kSubject,  // the resource of a subject that it sees
  kListed,   // the entries of subjects that it sees
};

struct Resource {
  const char* method;
  const char* path;    // below kApiRoot; "{subject}" stands for one segment
  const char* verb;    // of the daemon
  const char* action;  // the verb's "do"; "": none
  TokenRole changers;  // the least role for a verb that changes something
  ResourceScope scope;
  const char* help;
  absl::Span<const Parameter> parameters;
  const char* answer = "any";  // its type (schemas.h)

  bool names_subject() const { return absl::string_view(path).find('{') != std::string::npos; }
};

absl::Span<const Resource> Resources();

// The resource of the table with this method and path. It must be there.
const Resource& ResourceAt(absl::string_view method, absl::string_view path);

// Viewer for a verb that only reads; otherwise `changers`.
TokenRole LeastRole(const Resource& resource);

// "getSubject", "postSubjectUnblock": what generators of clients make methods of.
std::string OperationId(absl::string_view method, absl::string_view path);

// The description of the API in OpenAPI 3.1.
Json OpenApi(absl::string_view version);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_RESOURCES_H_
