"""What nobody outside the array's maker can confirm, decided here and nowhere else.

Element's public documentation, recorded answers and client sources leave gaps. Each constant below fills one, with its
reason. Where a real array is found to differ, this is the file to change.
"""

from __future__ import annotations

# --- HTTP -----------------------------------------------------------------------------------------

# Credentials are looked at before the path: a stranger learns nothing about versions.
UNAUTHORIZED_BODY = "<html><head><title>401 Unauthorized</title></head><body><p>401 Unauthorized.</p></body></html>"
# Only supported two-part versions are paths; solidfire-csi's probe of a four-part one relies on it failing.
NOT_FOUND_BODY = "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1></body></html>"
# Nothing but POST is documented.
METHOD_NOT_ALLOWED_BODY = "<html><body><h1>405 Method Not Allowed</h1></body></html>"
# No client looks at it; it is what the body is.
CONTENT_TYPE = "application/json"
# A body that is no JSON object, a batch array among them, gets an ordinary error: every client knows how to read one.
MALFORMED_REQUEST = "xInvalidParameter"

# --- Parameters -----------------------------------------------------------------------------------

# Documentation and clients write numbers and booleans as strings; nobody writes 0 and 1 for booleans or numbers for
# strings.
WRONG_TYPE = "xInvalidParameterType"
# Parameters newer than the endpoint's version work all the same: Cinder lives with 12.x through 1.0, and hiding them
# gains a test nothing.
HIDE_NEWER_PARAMETERS = False
# The public name for a value that has the right type and is out of range, seen with volume names.
BAD_VALUE = "xInvalidAPIParameter"
# The name for combinations that exclude each other and for states that do not allow a call, seen with ListInitiators
# and DeleteVolumes.
BAD_COMBINATION = "xInvalidParameter"
# Lengths count characters, as GetLimits speaks of lengths of names. Accounts, access groups, policies and snapshots may
# use any.
NAME_LENGTH_IN_CHARACTERS = True
# Exact comparison, the strictest reading: a client that relies on folding would find nothing here and notice.
NAMES_FOLD_CASE = False
# Any 12 to 16 printable ASCII characters; recorded secrets hold most kinds of punctuation.
SECRET_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#()*+-.:;<=>@[]^_{}~"

# --- Accounts -------------------------------------------------------------------------------------

# terraform-provider-solidfire matches `500:xUnknownAccount` after GetAccountByID, so that, not xAccountIDDoesNotExist.
ACCOUNT_BY_ID_MISSING = "xUnknownAccount"
# Recycled volumes count: the documentation says removal needs them purged.
ACCOUNT_IN_USE = BAD_COMBINATION

# --- Volumes --------------------------------------------------------------------------------------

# A deleted volume is unknown to every call but restore, purge and the lists; so a second DeleteVolume answers
# "Volume N does not exist.", which solidfire-go's idempotent delete and solidfire-csi both understand.
DELETED_IS_UNKNOWN = "xVolumeIDDoesNotExist"
# Purging or restoring a volume that is active: the state does not allow it.
NOT_DELETED = BAD_COMBINATION
# Unknown ids in ListVolumes' volumeIDs are left out: a listing is a filter.
LIST_VOLUMES_OMITS_UNKNOWN = True
# GetVolumeCount counts recycled volumes, as the limit of volumes does: both speak of what the cluster holds.
COUNT_DELETED = True
# ModifyVolume with a qosPolicyID and no associateWithQoSPolicy applies the values without the association, as the SDK's
# text has it.
MODIFY_ASSOCIATES_BY_DEFAULT = False
# qos together with qosPolicyID.
QOS_TWICE = BAD_COMBINATION
# minIOPS <= maxIOPS <= burstIOPS, and each within its limits.
BAD_QOS = BAD_VALUE
# A limit of GetLimits reached; the one recorded text is of this name, for access groups.
LIMIT_REACHED = "xExceededLimit"
# From stage4 on, and beyond maxOverProvisionableSpace; the name that solidfire-csi looks for.
CLUSTER_FULL = "xTotalCapacityExceeded"
# Attributes of 1000 bytes or more; the documentation says below 1000 once encoded.
ATTRIBUTES_TOO_LARGE = BAD_VALUE
# A move to another account ends sessions that were opened with the old account's credentials: what works afterwards is
# what
# GetAccountByID says works. (The behaviour itself is in data.Export.ends_sessions_of.)
MOVE_ENDS_SESSIONS = True

# --- Clones ---------------------------------------------------------------------------------------

# Running clones are in no list, not even by volumeIDs (seen with the other lists).
HIDE_RUNNING_CLONES = True
# Work on a volume that a running clone makes: retryable for Cinder and Trident.
CLONE_NOT_READY = "xNotReadyForIO"
# More than cloneJobsPerVolumeMax at once are refused, not queued: Cinder and older drivers know the name from
# somewhere.
TOO_MANY_CLONES = "xMaxClonesPerVolumeExceeded"
# GetAsyncResult names the new volume; a client must use the immediate answer's anyway.
ASYNC_RESULT_NAMES_SOURCE = False
# The QoS values are inherited, the policy's association is not: the documentation lists values only.
CLONE_INHERITS_POLICY = False
# CancelClone and CancelGroupClone with an unknown id.
UNKNOWN_CLONE = "xInvalidParameter"
# A snapshot of another volume than the source.
FOREIGN_SNAPSHOT = BAD_COMBINATION

# --- Snapshots ------------------------------------------------------------------------------------

# Asking for one that is not there is an error, in ListSnapshots too: Trident and solidfire-csi cope with either, and an
# error is what a careless client trips over.
UNKNOWN_SNAPSHOT = "xSnapshotIDDoesNotExist"
LIST_SNAPSHOTS_REFUSES_UNKNOWN = True
# Snapshots of recycled volumes are listed: the documentation keeps them until the purge.
LIST_SNAPSHOTS_OF_DELETED = True
# The snapshot last rolled back to can be deleted: OpenStack's revert tests do it and the vendor's CI passed them,
# whatever the page says.
ACTIVE_SNAPSHOT_STAYS = False
# A retention that is no HH:mm:ss, and retention together with expirationTime.
BAD_RETENTION = BAD_VALUE
# Expiry and purge happen at the second they are due.
EXPIRY_GRANULARITY = 1.0
# Group snapshots: one volume is enough (documentation shows such groups); a missing group is named like its siblings.
UNKNOWN_GROUP = "xGroupSnapshotIDDoesNotExist"
MINIMUM_GROUP = 1
# A group lives on with fewer members and goes with the last one.
EMPTY_GROUP_VANISHES = True
# ListGroupSnapshots by volumes: groups that hold any of them.
GROUPS_BY_ANY_VOLUME = True

# --- The rest -------------------------------------------------------------------------------------

UNKNOWN_POLICY = "xQoSPolicyDoesNotExist"
UNKNOWN_INITIATOR = "xInitiatorDoesNotExist"
DUPLICATE_INITIATOR = "xInitiatorExists"
DUPLICATE_LUN = BAD_COMBINATION
UNKNOWN_ADMIN = "xClusterAdminIDDoesNotExist"
DUPLICATE_ADMIN = "xDuplicateUsername"
# What went wrong below the API: disk full, a target that could not be made.
INTERNAL = "xInternalError"
