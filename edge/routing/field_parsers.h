/* field_parsers.h -- one function for each row of the tables in schema/: parse_TABLE_NAME. */
#ifndef ROUTING_FIELD_PARSERS_H
#define ROUTING_FIELD_PARSERS_H

#include "routing/field_types.h"

#define DECLARE(parser)                                                                            \
    bool parser(struct str text, struct record_fields *fields, const char **expected);
#define FIELD(name, type, standard, range, meaning) DECLARE(parse_host_##name)
#include "schema/host.def"
#undef FIELD
#define FIELD(name, type, standard, range, meaning) DECLARE(parse_tenant_##name)
#include "schema/tenant.def"
#undef FIELD
#define FIELD(name, type, standard, range, meaning) DECLARE(parse_service_##name)
#include "schema/service.def"
#undef FIELD
#define FIELD(name, type, standard, range, meaning) DECLARE(parse_endpoint_##name)
#include "schema/endpoint.def"
#undef FIELD
#undef DECLARE

#endif
