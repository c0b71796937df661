"""Communities and Crime: where in the United States violent crime is frequent."""

__all__ = ["load_communities_crime"]

import numpy as np
import pandas as pd

from bitveil.datasets.dataset import Dataset, Entry, Origin, read_bundled

COMMUNITIES_COLUMNS = """
    state county community communityname fold population householdsize racepctblack
    racePctWhite racePctAsian racePctHisp agePct12t21 agePct12t29 agePct16t24 agePct65up
    numbUrban pctUrban medIncome pctWWage pctWFarmSelf pctWInvInc pctWSocSec pctWPubAsst
    pctWRetire medFamInc perCapInc whitePerCap blackPerCap indianPerCap AsianPerCap OtherPerCap
    HispPerCap NumUnderPov PctPopUnderPov PctLess9thGrade PctNotHSGrad PctBSorMore
    PctUnemployed PctEmploy PctEmplManu PctEmplProfServ PctOccupManu PctOccupMgmtProf
    MalePctDivorce MalePctNevMarr FemalePctDiv TotalPctDiv PersPerFam PctFam2Par PctKids2Par
    PctYoungKids2Par PctTeen2Par PctWorkMomYoungKids PctWorkMom NumIlleg PctIlleg NumImmig
    PctImmigRecent PctImmigRec5 PctImmigRec8 PctImmigRec10 PctRecentImmig PctRecImmig5
    PctRecImmig8 PctRecImmig10 PctSpeakEnglOnly PctNotSpeakEnglWell PctLargHouseFam
    PctLargHouseOccup PersPerOccupHous PersPerOwnOccHous PersPerRentOccHous PctPersOwnOccup
    PctPersDenseHous PctHousLess3BR MedNumBR HousVacant PctHousOccup PctHousOwnOcc
    PctVacantBoarded PctVacMore6Mos MedYrHousBuilt PctHousNoPhone PctWOFullPlumb OwnOccLowQuart
    OwnOccMedVal OwnOccHiQuart RentLowQ RentMedian RentHighQ MedRent MedRentPctHousInc
    MedOwnCostPctInc MedOwnCostPctIncNoMtg NumInShelters NumStreet PctForeignBorn
    PctBornSameState PctSameHouse85 PctSameCity85 PctSameState85 LemasSwornFT LemasSwFTPerPop
    LemasSwFTFieldOps LemasSwFTFieldPerPop LemasTotalReq LemasTotReqPerPop PolicReqPerOffic
    PolicPerPop RacialMatchCommPol PctPolicWhite PctPolicBlack PctPolicHisp PctPolicAsian
    PctPolicMinor OfficAssgnDrugUnits NumKindsDrugsSeiz PolicAveOTWorked LandArea PopDens
    PctUsePubTrans PolicCars PolicOperBudg LemasPctPolicOnPatr LemasGangUnitDeploy
    LemasPctOfficDrugUn PolicBudgPerPop ViolentCrimesPerPop
""".split()
# The authors call these not predictive: the place of the community, and the fold of their splits.
NOT_PREDICTIVE = ["state", "county", "community", "communityname", "fold"]
MEDIAN = 0.15  # of the target's column, over all rows of the file
COMMUNITIES_ORIGIN = Origin(
    about=(
        "1,994 communities of the United States in the 1990s. The target is more violent "
        "crime per head than in the median community"
    ),
    source=(
        "Communities and Crime, Michael Redmond, UCI Machine Learning Repository, 2002, "
        "https://archive.ics.uci.edu/dataset/183/communities+and+crime, "
        "https://doi.org/10.24432/C53W3X"
    ),
    licence="CC BY 4.0",
)


def load_communities_crime() -> Dataset:
    """Load Communities and Crime: 1,994 rows and 122 columns.

    The target is 1 if violent crimes per head are above the median of the rows (49.8 %). The
    sensitive attribute is `black_share`: whether `racepctblack` is over 0.06, its median.

    - A row is a community, not a person. A fact about communities need not hold for their people.
    - Every column was scaled to 0 to 1 by its own range, so 0.06 does not mean six in a hundred,
      and two columns cannot be compared. Values beyond 3 standard deviations are 0 or 1.
    - The loader drops names and places (`state`, `county`, `community`, `communityname`) and
      `fold`, which the authors call not predictive.
    - A question mark means missing, and becomes NaN: in 22 columns about the police for the same
      1,675 communities, and once in `OtherPerCap`.
    - `racePctWhite`, `PctPolicBlack` and others hint strongly at `black_share`. They stay: only
      `racepctblack` states it outright.
    - With 1,994 rows, differences of a few points between methods are noise. There is no official
      split. `test` is the fixed split, by the row's place in the file.

    Source: Communities and Crime, Michael Redmond, 2002,
    https://archive.ics.uci.edu/dataset/183/communities+and+crime (CC BY 4.0).

    Example:
        >>> crime = load_communities_crime()
        >>> crime.features.shape, crime.base_rates("black_share")
        ((1994, 122), {'0.06 or less': 0.2793, 'over 0.06': 0.7289})
    """

    rows = pd.read_csv(
        read_bundled("communities.data.gz"),
        names=COMMUNITIES_COLUMNS,
        na_values=["?"],
        keep_default_na=False,
    )
    black_share = np.where(rows["racepctblack"] > 0.06, "over 0.06", "0.06 or less")

    return Dataset(
        name="Communities and Crime",
        features=rows.drop(columns=[*NOT_PREDICTIVE, "ViolentCrimesPerPop"]),
        target=(rows["ViolentCrimesPerPop"] > MEDIAN).astype("int64").rename("violent"),
        sensitive=pd.DataFrame({"black_share": black_share}),
        stated_by={"black_share": ("racepctblack",)},
        origin=COMMUNITIES_ORIGIN,
    )


COMMUNITIES = Entry("communities", load_communities_crime, "black_share")
