/* compile.h -- decoded records become the immutable objects that workers use. One allocation each. */
#ifndef ROUTING_COMPILE_H
#define ROUTING_COMPILE_H

#include "routing/record.h"
#include "routing/service.h"
#include "routing/site.h"

/* `fields` NULL: a record that never had a good version; requests get 503 bad_record. The slots are
 * those of the tenant and the service that the fields name. */
struct site *compile_site(struct slot_ref ref, struct str host, const struct record_fields *fields,
                          uint32_t tenant_slot, uint32_t service_slot);
struct tenant *compile_tenant(struct slot_ref ref, struct str id,
                              const struct record_fields *fields, uint32_t service_slot);
struct service *compile_service(struct slot_ref ref, struct str name, bool bad,
                                enum balance balance, const struct endpoint *endpoints,
                                uint32_t count);

#endif
